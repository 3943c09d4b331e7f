import { idempotencyKey, pageOptions, request, type PageQuery } from './client';
import type {
  AddItem,
  Channel,
  CreateChannel,
  CreatePlaylist,
  NotifyLevel,
  Page,
  PatchChannel,
  PatchItem,
  PatchPlaylist,
  Playlist,
  PlaylistItem,
  Subscribed,
  Subscription,
  VideoCard,
} from './types';

const at = (handle: string) => `/api/channels/${encodeURIComponent(handle)}`;

export const createChannel = (body: CreateChannel) =>
  request<Channel>('POST', '/api/channels', { body, headers: idempotencyKey() });
export const getChannel = (handle: string) => request<Channel>('GET', at(handle));
export const patchChannel = (handle: string, body: PatchChannel) => request<Channel>('PATCH', at(handle), { body });
export const deleteChannel = (handle: string) => request<void>('DELETE', at(handle));
export const putChannelPicture = (handle: string, which: 'avatar' | 'banner', picture: Blob) =>
  request<void>('PUT', `${at(handle)}/${which}`, { body: picture, headers: { 'Content-Type': picture.type } });

export const listChannelVideos = (handle: string, sort: 'new' | 'popular', page: PageQuery) =>
  request<Page<VideoCard>>('GET', `${at(handle)}/videos`, pageOptions(page, { sort }));
export const listChannelPlaylists = (handle: string, page: PageQuery) =>
  request<Page<Playlist>>('GET', `${at(handle)}/playlists`, pageOptions(page));

/** The channels that one owns. */
export const listMyChannels = (page: PageQuery = {}) =>
  request<Page<Channel>>('GET', '/api/me/channels', pageOptions(page));

export const subscribe = (handle: string, notify: NotifyLevel = 'all') =>
  request<Subscription>('PUT', `${at(handle)}/subscription`, { body: { notify } });
export const unsubscribe = (handle: string) => request<void>('DELETE', `${at(handle)}/subscription`);
export const listSubscriptions = (page: PageQuery) =>
  request<Page<Subscribed>>('GET', '/api/me/subscriptions', pageOptions(page));
export const listFeed = (page: PageQuery) => request<Page<VideoCard>>('GET', '/api/me/feed', pageOptions(page));

export const createPlaylist = (body: CreatePlaylist) =>
  request<Playlist>('POST', '/api/playlists', { body, headers: idempotencyKey() });
export const getPlaylist = (id: string) => request<Playlist>('GET', `/api/playlists/${id}`);
export const patchPlaylist = (id: string, body: PatchPlaylist) =>
  request<Playlist>('PATCH', `/api/playlists/${id}`, { body });
export const deletePlaylist = (id: string) => request<void>('DELETE', `/api/playlists/${id}`);
export const listMyPlaylists = (page: PageQuery) =>
  request<Page<Playlist>>('GET', '/api/me/playlists', pageOptions(page));

export const listItems = (playlist: string, page: PageQuery) =>
  request<Page<PlaylistItem>>('GET', `/api/playlists/${playlist}/items`, pageOptions(page));
export const addItem = (playlist: string, body: AddItem) =>
  request<PlaylistItem>('POST', `/api/playlists/${playlist}/items`, { body, headers: idempotencyKey() });
export const patchItem = (playlist: string, item: string, body: PatchItem) =>
  request<PlaylistItem>('PATCH', `/api/playlists/${playlist}/items/${item}`, { body });
export const deleteItem = (playlist: string, item: string) =>
  request<void>('DELETE', `/api/playlists/${playlist}/items/${item}`);
