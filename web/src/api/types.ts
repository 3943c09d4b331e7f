/*
 * The data shapes of the JSON API, the same as in crates/proto/src/api, by topic.
 * Times are RFC 3339 strings, durations seconds, sizes bytes. What the server may leave out is optional.
 */

export interface Page<T> {
  items: T[];
  /** Absent on the last page. */
  nextPageToken?: string;
}

export interface Person {
  username: string;
  displayName: string;
  avatarUrl?: string;
}

/** RFC 9457 problem details. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  /** Stable, kebab-case. */
  code: string;
  detail: string;
  errors?: { field: string; detail: string }[];
  /** Seconds. */
  retryAfter?: number;
}

// Accounts

export type Role = 'guest' | 'user' | 'moderator' | 'admin';

export interface Register {
  username: string;
  email: string;
  password: string;
  setupToken?: string;
  inviteToken?: string;
  reason?: string;
}

export interface Login {
  login: string;
  password: string;
  otp?: string;
}

export interface Me {
  id: string;
  username: string;
  displayName: string;
  email: string;
  bio: string;
  role: Role;
  avatarUrl?: string;
  createdAt: string;
}

export interface SignedIn {
  user: Me;
  accessToken: string;
  tokenType: string;
  /** Seconds until the access token ends. */
  expiresIn: number;
}

export interface PatchMe {
  displayName?: string;
  bio?: string;
  email?: string;
}

export interface ChangePassword {
  currentPassword: string;
  newPassword: string;
}

export interface Session {
  id: string;
  client: string;
  address: string;
  createdAt: string;
  lastSeenAt: string;
  current: boolean;
}

// The instance

export type RegistrationPolicy = 'open' | 'invite' | 'approval' | 'closed';

export interface Instance {
  name: string;
  description: string;
  /** `#rrggbb` */
  accent: string;
  registration: RegistrationPolicy;
  /** True until the first account was made. */
  needsSetup: boolean;
  version: string;
  uploadMaxBytes: number;
  passwordLengthMin: number;
}

export type HealthStatus = 'ok' | 'degraded' | 'down';

export interface Health {
  status: HealthStatus;
  services: { name: string; status: HealthStatus }[];
}

// Channels

export interface Link {
  label: string;
  url: string;
}

export type NotifyLevel = 'all' | 'none';

export interface Subscription {
  notify: NotifyLevel;
}

export interface ChannelCard {
  id: string;
  handle: string;
  name: string;
  avatarUrl?: string;
  subscribers: number;
}

export interface Channel extends ChannelCard {
  description: string;
  support: string;
  links: Link[];
  /** The owner's username. */
  owner: string;
  videos: number;
  bannerUrl?: string;
  createdAt: string;
  /** Absent for guests. */
  me?: { owner: boolean; subscription?: Subscription };
}

export interface CreateChannel {
  handle: string;
  name: string;
  description?: string;
  support?: string;
  links?: Link[];
}

export type PatchChannel = Partial<Omit<CreateChannel, 'handle'>>;

export interface Subscribed {
  channel: ChannelCard;
  notify: NotifyLevel;
  createdAt: string;
}

// Videos

export type Privacy = 'public' | 'unlisted' | 'private' | 'internal' | 'password';
export type VideoState = 'uploading' | 'processing' | 'published' | 'scheduled' | 'failed' | 'blocked';
export type CommentPolicy = 'open' | 'held' | 'closed';

export interface VideoCard {
  id: string;
  title: string;
  channel: ChannelCard;
  privacy: Privacy;
  state: VideoState;
  duration: number;
  publishedAt?: string;
  views: number;
  thumbnailUrl?: string;
}

export interface Rendition {
  /** Pixels of the shorter side; 0 for sound alone. */
  height: number;
  width: number;
  fps: number;
  bytes: number;
  codecs: string;
}

export interface PlaybackFile {
  height: number;
  url: string;
  bytes: number;
}

export interface Playback {
  /** The HLS master playlist. */
  hls: string;
  /** Lowest first. */
  files: PlaybackFile[];
  original?: string;
}

export interface Caption {
  language: string;
  label: string;
  url: string;
}

export interface Chapter {
  startSeconds: number;
  title: string;
}

export interface Video extends VideoCard {
  description: string;
  failure?: string;
  createdAt: string;
  tags: string[];
  category: string;
  language: string;
  license: string;
  sensitive: boolean;
  download: boolean;
  commentPolicy: CommentPolicy;
  likes: number;
  dislikes: number;
  comments: number;
  captions: Caption[];
  chapters: Chapter[];
  renditions: Rendition[];
  /** For the owner only. */
  bytes?: number;
  /** Absent until something can be played. */
  playback?: Playback;
}

export interface PatchVideo {
  title?: string;
  description?: string;
  channel?: string;
  privacy?: Privacy;
  tags?: string[];
  category?: string;
  language?: string;
  license?: string;
  sensitive?: boolean;
  download?: boolean;
  commentPolicy?: CommentPolicy;
}

export interface VideoAndMe {
  rating: Rating;
  resumeAt?: number;
  subscribed: boolean;
  /** Ids of the caller's playlists that have it. */
  playlists: string[];
}

export interface OwnVideo extends VideoCard {
  createdAt: string;
  failure?: string;
  bytes: number;
  /** 0–1; absent when nothing is to be done. */
  progress?: number;
  likes: number;
  comments: number;
}

export type JobKind = 'probe' | 'remux' | 'rendition' | 'poster';
export type JobState = 'waiting' | 'running' | 'done' | 'failed';

export interface Job {
  id: string;
  videoId: string;
  kind: JobKind;
  height?: number;
  state: JobState;
  /** 0–1 */
  progress: number;
  error?: string;
}

export interface Processing {
  state: VideoState;
  jobs: Job[];
}

export type ReasonKind =
  'because-you-watched' | 'because-you-liked' | 'subscribed' | 'similar' | 'same-channel' | 'popular' | 'new';

export interface Reason {
  kind: ReasonKind;
  /** The reason in English, for kinds that this client does not know. */
  text: string;
  videoId?: string;
  subject?: string;
}

export interface Recommendation {
  video: VideoCard;
  reason: Reason;
}

export interface RecommendationFeedback {
  videoId?: string;
  channel?: string;
  verdict: 'less' | 'never';
}

// Search

export interface Highlight {
  field: string;
  text: string;
  /** `[start, end)` in Unicode characters of `text`. */
  ranges: [number, number][];
}

export interface Moment {
  startSeconds: number;
  text: string;
}

export interface SearchHit {
  video: VideoCard;
  highlights: Highlight[];
  moments: Moment[];
}

// Interactions

export type Rating = 'like' | 'dislike' | 'none';

export interface Comment {
  id: string;
  videoId: string;
  parentId?: string;
  /** Absent for a tombstone. */
  author?: Person;
  text: string;
  createdAt: string;
  editedAt?: string;
  deleted: boolean;
  replies: number;
  likes: number;
  byOwner: boolean;
  /** Absent for guests. */
  myRating?: Rating;
}

export interface View {
  sessionId: string;
  positionSeconds: number;
  watchedSeconds: number;
}

export interface HistoryItem {
  video: VideoCard;
  watchedAt: string;
  positionSeconds: number;
}

// Playlists

export type PlaylistPrivacy = 'public' | 'unlisted' | 'private';

export interface Playlist {
  id: string;
  title: string;
  description: string;
  privacy: PlaylistPrivacy;
  kind: 'playlist' | 'watch-later';
  owner: Person;
  items: number;
  thumbnailUrl?: string;
  createdAt: string;
  updatedAt: string;
}

export interface CreatePlaylist {
  title: string;
  description?: string;
  privacy?: PlaylistPrivacy;
}

export type PatchPlaylist = Partial<CreatePlaylist>;

export interface PlaylistItem {
  id: string;
  /** Absent when it is gone or not visible to the caller. */
  video?: VideoCard;
  startSeconds?: number;
  endSeconds?: number;
  note?: string;
  addedAt: string;
}

export interface AddItem {
  videoId: string;
  startSeconds?: number;
  endSeconds?: number;
  note?: string;
}

export interface PatchItem {
  /** Counted from 0; beyond the end means last. */
  position?: number;
  startSeconds?: number | null;
  endSeconds?: number | null;
  note?: string | null;
}

// Notifications

export type NotificationKind =
  | 'new-video'
  | 'comment'
  | 'reply'
  | 'mention'
  | 'like'
  | 'subscriber'
  | 'processing-done'
  | 'processing-failed'
  | 'moderation'
  | 'report'
  | 'registration';

export interface Notification {
  id: string;
  kind: NotificationKind;
  createdAt: string;
  read: boolean;
  /** How many people, for merged ones; else 1. */
  count: number;
  actor?: Person;
  videoId?: string;
  videoTitle?: string;
  thumbnailUrl?: string;
  commentId?: string;
  channel?: string;
  text?: string;
  /** The notification that this one takes the place of. */
  replaces?: string;
}

export interface Preference {
  kind: NotificationKind;
  page: boolean;
}

export interface Preferences {
  kinds: Preference[];
}
