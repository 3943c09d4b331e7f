import { request } from './client';
import type { ChangePassword, Health, Instance, Login, Me, Page, PatchMe, Register, Session, SignedIn } from './types';

export const getInstance = () => request<Instance>('GET', '/api/instance', { anonymous: true });

export const getHealth = () => request<Health>('GET', '/api/health', { anonymous: true });

export const register = (body: Register) => request<SignedIn>('POST', '/api/auth/register', { body, anonymous: true });

export const login = (body: Login) => request<SignedIn>('POST', '/api/auth/login', { body, anonymous: true });

/** The refresh token is a cookie that no script can read. */
export const refresh = () => request<SignedIn>('POST', '/api/auth/refresh', { body: {}, anonymous: true });

export const logout = () => request<void>('POST', '/api/auth/logout', { body: {}, anonymous: true });

export const getMe = () => request<Me>('GET', '/api/me');
export const patchMe = (body: PatchMe) => request<Me>('PATCH', '/api/me', { body });
export const deleteMe = (password: string) => request<void>('DELETE', '/api/me', { body: { password } });
export const changePassword = (body: ChangePassword) => request<void>('PUT', '/api/me/password', { body });
export const putMyAvatar = (picture: Blob) =>
  request<void>('PUT', '/api/me/avatar', { body: picture, headers: { 'Content-Type': picture.type } });

export const listSessions = () => request<Page<Session>>('GET', '/api/auth/sessions');
export const endSession = (id: string) => request<void>('DELETE', `/api/auth/sessions/${id}`);
