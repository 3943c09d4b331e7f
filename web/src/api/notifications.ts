import { pageOptions, request, type PageQuery } from './client';
import type { Notification, Page, Preferences } from './types';

export const listNotifications = (page: PageQuery) =>
  request<Page<Notification>>('GET', '/api/notifications', pageOptions(page));
export const getUnreadCount = () => request<{ unread: number }>('GET', '/api/notifications/unread-count');
export const markRead = (which: { ids: string[] } | { upTo: string }) =>
  request<void>('POST', '/api/notifications/read', { body: which });
export const getPreferences = () => request<Preferences>('GET', '/api/notifications/preferences');
export const putPreferences = (body: Preferences) =>
  request<Preferences>('PUT', '/api/notifications/preferences', { body });
/** For the websocket; works once, for 30 s. */
export const getTicket = () => request<{ ticket: string; expiresIn: number }>('POST', '/api/notifications/ticket');
