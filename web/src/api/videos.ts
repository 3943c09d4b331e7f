import { pageOptions, request, type PageQuery } from './client';
import type {
  Caption,
  Chapter,
  OwnVideo,
  Page,
  PatchVideo,
  Processing,
  Recommendation,
  RecommendationFeedback,
  SearchHit,
  Video,
  VideoAndMe,
  VideoCard,
} from './types';

const at = (id: string) => `/api/videos/${encodeURIComponent(id)}`;

export const getVideo = (id: string) => request<Video>('GET', at(id));
export const getVideoAndMe = (id: string) => request<VideoAndMe>('GET', `${at(id)}/me`);
export const patchVideo = (id: string, body: PatchVideo) => request<Video>('PATCH', at(id), { body });
export const deleteVideo = (id: string) => request<void>('DELETE', at(id));
export const putThumbnail = (id: string, picture: Blob) =>
  request<void>('PUT', `${at(id)}/thumbnail`, { body: picture, headers: { 'Content-Type': picture.type } });

/** WebVTT or SubRip; takes the place of what the language had. */
export const putCaptions = (id: string, language: string, text: Blob) =>
  request<Caption>('PUT', `${at(id)}/captions/${encodeURIComponent(language)}`, {
    body: text,
    headers: { 'Content-Type': 'text/vtt' },
  });
export const deleteCaptions = (id: string, language: string) =>
  request<void>('DELETE', `${at(id)}/captions/${encodeURIComponent(language)}`);
export const putChapters = (id: string, chapters: Chapter[]) =>
  request<void>('PUT', `${at(id)}/chapters`, { body: chapters });

export interface VideoFilter {
  sort?: 'new' | 'popular' | 'trending';
  category?: string;
  tag?: string;
  channel?: string;
}

export const listVideos = (filter: VideoFilter, page: PageQuery) =>
  request<Page<VideoCard>>('GET', '/api/videos', pageOptions(page, { ...filter }));

export const listMyVideos = (filter: { state?: string; q?: string }, page: PageQuery) =>
  request<Page<OwnVideo>>('GET', '/api/me/videos', pageOptions(page, filter));

export const getProcessing = (id: string) => request<Processing>('GET', `${at(id)}/processing`);
export const retryJob = (id: string, job: string) =>
  request<void>('POST', `${at(id)}/processing/${encodeURIComponent(job)}/retry`);

export interface SearchFilter {
  q: string;
  sort?: string;
  duration?: string;
  uploaded?: string;
  channel?: string;
  category?: string;
  language?: string;
}

export const search = (filter: SearchFilter, page: PageQuery) =>
  request<Page<SearchHit>>('GET', '/api/search', pageOptions(page, { ...filter }));
export const suggest = (q: string, signal?: AbortSignal) =>
  request<{ items: string[] }>('GET', '/api/search/suggest', { query: { q }, signal });

export const listRecommendations = (page: PageQuery) =>
  request<Page<Recommendation>>('GET', '/api/recommendations', pageOptions(page));
export const listRelated = (id: string, page: PageQuery) =>
  request<Page<Recommendation>>('GET', `${at(id)}/related`, pageOptions(page));
export const sendFeedback = (body: RecommendationFeedback) =>
  request<void>('POST', '/api/recommendations/feedback', { body });
