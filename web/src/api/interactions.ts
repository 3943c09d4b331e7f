import { idempotencyKey, pageOptions, request, type PageQuery } from './client';
import type { Comment, HistoryItem, Page, Rating, View } from './types';

const video = (id: string) => `/api/videos/${encodeURIComponent(id)}`;
const comment = (id: string) => `/api/comments/${encodeURIComponent(id)}`;

export type CommentSort = 'top' | 'new' | 'old';

export const rate = (id: string, rating: Rating) =>
  request<{ rating: Rating }>('PUT', `${video(id)}/rating`, { body: { rating } });

export const listComments = (id: string, sort: CommentSort, page: PageQuery) =>
  request<Page<Comment>>('GET', `${video(id)}/comments`, pageOptions(page, { sort }));
export const listReplies = (id: string, page: PageQuery) =>
  request<Page<Comment>>('GET', `${comment(id)}/replies`, pageOptions(page));
export const createComment = (id: string, text: string, parentId?: string) =>
  request<Comment>('POST', `${video(id)}/comments`, { body: { text, parentId }, headers: idempotencyKey() });
export const patchComment = (id: string, text: string) => request<Comment>('PATCH', comment(id), { body: { text } });
export const deleteComment = (id: string) => request<void>('DELETE', comment(id));
export const rateComment = (id: string, rating: Rating) =>
  request<{ rating: Rating }>('PUT', `${comment(id)}/rating`, { body: { rating } });

/** A heartbeat of the player; it is sent even while the page closes. */
export const sendView = (id: string, body: View) =>
  request<{ counted: boolean }>('POST', `${video(id)}/views`, { body, keepalive: true });

export const listHistory = (page: PageQuery) => request<Page<HistoryItem>>('GET', '/api/me/history', pageOptions(page));
export const clearHistory = () => request<void>('DELETE', '/api/me/history');
export const forgetVideo = (id: string) => request<void>('DELETE', `/api/me/history/${id}`);
export const getHistoryPaused = () => request<{ paused: boolean }>('GET', '/api/me/history/paused');
export const setHistoryPaused = (paused: boolean) =>
  request<{ paused: boolean }>('PUT', '/api/me/history/paused', { body: { paused } });
