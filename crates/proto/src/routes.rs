//! Every public route, the service that answers it, and the right that it needs.
//!
//! The gateway forwards nothing that does not stand here, so a route cannot exist without its rule.
//! `/media/…`, pages and the web app's files are the gateway's own and follow the rule of the video.

use crate::api::account::Role;

/// HTTP methods that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `HEAD` where it is more than a `GET` without a body (tus).
    Head,
    /// `OPTIONS` where it is more than CORS (tus).
    Options,
}

impl Method {
    /// The method of this name, upper case (RFC 9110 §9).
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            _ => return None,
        })
    }

    /// Its name, upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }
}

/// The five services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Accounts, tokens, forwarding, bytes.
    Gateway,
    /// Channels, playlists, subscriptions.
    Channel,
    /// Videos, uploads, search, recommendations.
    Video,
    /// Ratings, comments, views, history.
    Interaction,
    /// Inbox and websockets.
    Notification,
}

impl Service {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Channel, Self::Video, Self::Interaction, Self::Notification];

    /// Its name: the subcommand, the folder, the socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Channel => "channel",
            Self::Video => "video",
            Self::Interaction => "interaction",
            Self::Notification => "notification",
        }
    }
}

/// A public route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; a segment in braces stands for any one segment.
    pub pattern: &'static str,
    /// Who answers.
    pub service: Service,
    /// The least role that may call it. What one may see of the answer is the service's to decide.
    pub least: Role,
}

/// What the table says of a method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This route.
    Route(&'static Route),
    /// The path exists, with other methods.
    OtherMethod,
    /// No such path.
    Nothing,
}

/// Looks a method and path up. `HEAD` falls back to `GET`.
pub fn find(method: &str, path: &str) -> Found {
    let wanted = Method::from_name(method);
    let mut path_exists = false;
    let mut as_get = None;
    for route in ROUTES.iter().filter(|route| matches(route.pattern, path)) {
        path_exists = true;
        if Some(route.method) == wanted {
            return Found::Route(route);
        }
        if wanted == Some(Method::Head) && route.method == Method::Get {
            as_get = Some(route);
        }
    }
    match as_get {
        Some(route) => Found::Route(route),
        None if path_exists => Found::OtherMethod,
        None => Found::Nothing,
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        match segments.next() {
            Some(segment) if wanted.starts_with('{') => {
                if segment.is_empty() {
                    return false;
                }
            }
            Some(segment) if segment == wanted => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

const fn route(method: Method, pattern: &'static str, service: Service, least: Role) -> Route {
    Route { method, pattern, service, least }
}

use Method::{Delete, Get, Head, Options, Patch, Post, Put};
use Role::{Admin, Guest, User};
use Service::{Channel, Gateway, Interaction, Notification, Video};

/// The table. A static segment stands before a `{…}` one that would match it too.
pub const ROUTES: &[Route] = &[
    // Accounts
    route(Post, "/api/auth/register", Gateway, Guest),
    route(Post, "/api/auth/login", Gateway, Guest),
    route(Post, "/api/auth/refresh", Gateway, Guest),
    route(Post, "/api/auth/logout", Gateway, Guest),
    route(Get, "/api/auth/sessions", Gateway, User),
    route(Delete, "/api/auth/sessions/{id}", Gateway, User),
    route(Get, "/api/auth/providers", Gateway, Guest),
    route(Get, "/api/me", Gateway, User),
    route(Patch, "/api/me", Gateway, User),
    route(Delete, "/api/me", Gateway, User),
    route(Put, "/api/me/password", Gateway, User),
    route(Get, "/.well-known/jwks.json", Gateway, Guest),
    // The instance
    route(Get, "/api/health", Gateway, Guest),
    route(Get, "/api/instance", Gateway, Guest),
    route(Get, "/api/admin/users", Gateway, Admin),
    route(Post, "/api/admin/users", Gateway, Admin),
    route(Patch, "/api/admin/users/{id}", Gateway, Admin),
    route(Delete, "/api/admin/users/{id}", Gateway, Admin),
    route(Get, "/api/admin/deletions", Gateway, Admin),
    route(Post, "/api/admin/deletions/{id}/retry", Gateway, Admin),
    route(Get, "/api/admin/queues", Gateway, Admin),
    route(Get, "/api/admin/queues/{service}/{queue}/jobs", Gateway, Admin),
    route(Post, "/api/admin/queues/{service}/{queue}/jobs/{id}/retry", Gateway, Admin),
    route(Delete, "/api/admin/queues/{service}/{queue}/jobs/{id}", Gateway, Admin),
    route(Get, "/api/admin/backups", Gateway, Admin),
    route(Post, "/api/admin/backups", Gateway, Admin),
    route(Post, "/api/admin/backups/{id}/verify", Gateway, Admin),
    route(Get, "/api/admin/projections", Gateway, Admin),
    route(Post, "/api/admin/projections/{service}/rebuild", Gateway, Admin),
    route(Get, "/api/admin/projections/{service}/dead", Gateway, Admin),
    route(Post, "/api/admin/projections/{service}/dead/retry", Gateway, Admin),
    route(Post, "/api/admin/projections/{service}/dead/drop", Gateway, Admin),
    route(Get, "/api/admin/jobs", Video, Admin),
    route(Post, "/api/admin/jobs/{id}/retry", Video, Admin),
    // Channels
    route(Post, "/api/channels", Channel, User),
    route(Get, "/api/me/channels", Channel, User),
    route(Get, "/api/channels/{handle}", Channel, Guest),
    route(Patch, "/api/channels/{handle}", Channel, User),
    route(Delete, "/api/channels/{handle}", Channel, User),
    route(Get, "/api/channels/{handle}/videos", Video, Guest),
    route(Get, "/api/channels/{handle}/playlists", Channel, Guest),
    route(Put, "/api/channels/{handle}/subscription", Channel, User),
    route(Delete, "/api/channels/{handle}/subscription", Channel, User),
    route(Get, "/api/me/subscriptions", Channel, User),
    route(Get, "/api/me/feed", Channel, User),
    // Playlists
    route(Post, "/api/playlists", Channel, User),
    route(Get, "/api/me/playlists", Channel, User),
    route(Get, "/api/playlists/{id}", Channel, Guest),
    route(Patch, "/api/playlists/{id}", Channel, User),
    route(Delete, "/api/playlists/{id}", Channel, User),
    route(Get, "/api/playlists/{id}/items", Channel, Guest),
    route(Post, "/api/playlists/{id}/items", Channel, User),
    route(Patch, "/api/playlists/{id}/items/{itemId}", Channel, User),
    route(Delete, "/api/playlists/{id}/items/{itemId}", Channel, User),
    // Uploads
    route(Options, "/api/uploads", Video, Guest),
    route(Post, "/api/uploads", Video, User),
    route(Options, "/api/uploads/{id}", Video, Guest),
    route(Head, "/api/uploads/{id}", Video, User),
    route(Patch, "/api/uploads/{id}", Video, User),
    route(Delete, "/api/uploads/{id}", Video, User),
    // Videos
    route(Get, "/api/me/videos", Video, User),
    route(Get, "/api/videos", Video, Guest),
    route(Get, "/api/videos/{id}", Video, Guest),
    route(Patch, "/api/videos/{id}", Video, User),
    route(Delete, "/api/videos/{id}", Video, User),
    route(Get, "/api/videos/{id}/processing", Video, User),
    route(Post, "/api/videos/{id}/processing/{job}/retry", Video, User),
    route(Put, "/api/videos/{id}/captions/{language}", Video, User),
    route(Delete, "/api/videos/{id}/captions/{language}", Video, User),
    route(Put, "/api/videos/{id}/chapters", Video, User),
    route(Get, "/api/search", Video, Guest),
    route(Get, "/api/search/suggest", Video, Guest),
    route(Get, "/api/recommendations", Video, Guest),
    route(Post, "/api/recommendations/feedback", Video, User),
    route(Get, "/api/videos/{id}/related", Video, Guest),
    // Interactions
    route(Get, "/api/videos/{id}/me", Interaction, User),
    route(Get, "/api/videos/{id}/rating", Interaction, User),
    route(Put, "/api/videos/{id}/rating", Interaction, User),
    route(Get, "/api/videos/{id}/comments", Interaction, Guest),
    route(Post, "/api/videos/{id}/comments", Interaction, User),
    route(Get, "/api/comments/{id}/replies", Interaction, Guest),
    route(Patch, "/api/comments/{id}", Interaction, User),
    route(Delete, "/api/comments/{id}", Interaction, User),
    route(Put, "/api/comments/{id}/rating", Interaction, User),
    route(Post, "/api/videos/{id}/views", Interaction, Guest),
    route(Get, "/api/me/history", Interaction, User),
    route(Delete, "/api/me/history", Interaction, User),
    route(Get, "/api/me/history/paused", Interaction, User),
    route(Put, "/api/me/history/paused", Interaction, User),
    route(Delete, "/api/me/history/{videoId}", Interaction, User),
    // Notifications
    route(Get, "/api/notifications", Notification, User),
    route(Get, "/api/notifications/unread-count", Notification, User),
    route(Post, "/api/notifications/read", Notification, User),
    route(Get, "/api/notifications/preferences", Notification, User),
    route(Put, "/api/notifications/preferences", Notification, User),
    route(Post, "/api/notifications/ticket", Gateway, User),
    route(Get, "/api/notifications/socket", Gateway, Guest),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(method: &str, path: &str) -> Option<&'static str> {
        match find(method, path) {
            Found::Route(route) => Some(route.pattern),
            _ => None,
        }
    }

    #[test]
    fn no_route_stands_twice_or_behind_a_broader_one() {
        for (index, route) in ROUTES.iter().enumerate() {
            let Found::Route(found) = find(route.method.name(), route.pattern) else {
                panic!("{route:?} is not found");
            };
            assert_eq!(found, route, "entry {index} is hidden");
        }
    }

    #[test]
    fn braces_match_one_segment_that_is_not_empty() {
        assert_eq!(pattern("GET", "/api/videos/abc"), Some("/api/videos/{id}"));
        assert_eq!(pattern("GET", "/api/videos/"), None);
        assert_eq!(pattern("GET", "/api/videos/abc/def"), None);
        assert_eq!(pattern("HEAD", "/api/videos/abc"), Some("/api/videos/{id}"));
        assert_eq!(pattern("HEAD", "/api/uploads/abc"), Some("/api/uploads/{id}"));
        assert_eq!(pattern("DELETE", "/api/me/history/paused"), Some("/api/me/history/{videoId}"));
    }

    #[test]
    fn a_known_path_with_another_method_is_told_from_an_unknown_path() {
        assert_eq!(find("DELETE", "/api/auth/login"), Found::OtherMethod);
        assert_eq!(find("GET", "/internal/health"), Found::Nothing);
        assert_eq!(find("BREW", "/api/videos"), Found::OtherMethod);
    }
}
