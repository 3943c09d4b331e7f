//! `/api/auth/…` and the key set.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use kit::Caller;
use kit::http::{Response, Routes, filter, reply};
use proto::api::account::{Login, Refresh, Register, Session, SignedIn};
use proto::{Problem, SessionId, codes};
use warp::Filter;

use super::{App, any_of, cookies};
use crate::error::GatewayError;
use crate::headers::check_same_site;
use crate::service::sessions::Device;
use crate::service::sign_in::SignIn;
use crate::source::Source;

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([
        register(app),
        login(app),
        refresh(app),
        logout(app),
        sessions(app),
        end_session(app),
        providers(),
        key_set(app),
    ])
}

fn register(app: &App) -> Routes {
    warp::path!("api" / "auth" / "register")
        .and(warp::post())
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<Register>(app.json_limit()))
        .and(app.filter())
        .then(async |caller, headers, body: Result<Register, Problem>, app: App| {
            reply::either(app.register(&caller, &headers, body).await)
        })
        .boxed()
}

fn login(app: &App) -> Routes {
    warp::path!("api" / "auth" / "login")
        .and(warp::post())
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<Login>(app.json_limit()))
        .and(app.filter())
        .then(async |caller, headers, body: Result<Login, Problem>, app: App| {
            reply::either(app.login(&caller, &headers, body).await)
        })
        .boxed()
}

fn refresh(app: &App) -> Routes {
    warp::path!("api" / "auth" / "refresh")
        .and(warp::post())
        .and(filter::caller())
        .and(filter::headers())
        .and(optional_body(app))
        .and(app.filter())
        .then(async |caller, headers, body: Result<Refresh, Problem>, app: App| {
            reply::either(app.refresh(&caller, &headers, body).await)
        })
        .boxed()
}

fn logout(app: &App) -> Routes {
    warp::path!("api" / "auth" / "logout")
        .and(warp::post())
        .and(filter::caller())
        .and(filter::headers())
        .and(optional_body(app))
        .and(app.filter())
        .then(async |caller, headers, body: Result<Refresh, Problem>, app: App| {
            reply::either(app.logout(&caller, &headers, body).await)
        })
        .boxed()
}

fn sessions(app: &App) -> Routes {
    warp::path!("api" / "auth" / "sessions")
        .and(warp::get())
        .and(filter::caller())
        .and(app.filter())
        .map(|caller: Caller, app: App| reply::answer(app.sessions(&caller)))
        .boxed()
}

fn end_session(app: &App) -> Routes {
    warp::path!("api" / "auth" / "sessions" / String)
        .and(warp::delete())
        .and(filter::caller())
        .and(app.filter())
        .then(async |id: String, caller: Caller, app: App| reply::no_content(app.end_session(&id, &caller).await))
        .boxed()
}

fn providers() -> Routes {
    // Logging in with other providers is not possible in this version: there are none.
    warp::path!("api" / "auth" / "providers")
        .and(warp::get())
        .map(|| reply::json(StatusCode::OK, &serde_json::json!({ "items": [] })))
        .boxed()
}

fn key_set(app: &App) -> Routes {
    warp::path!(".well-known" / "jwks.json")
        .and(warp::get())
        .and(app.filter())
        .map(|app: App| {
            let keys = reply::json(StatusCode::OK, &app.service.tokens.key_set());
            reply::with_header(keys, header::CACHE_CONTROL, "public, max-age=300")
        })
        .boxed()
}

/// A body that a browser leaves out.
fn optional_body(app: &App) -> warp::filters::BoxedFilter<(Result<Refresh, Problem>,)> {
    filter::bytes_body(app.json_limit())
        .map(|bytes: Result<Bytes, Problem>| {
            let bytes = bytes?;
            if bytes.is_empty() {
                return Ok(Refresh::default());
            }
            serde_json::from_slice(&bytes)
                .map_err(|error| Problem::new(codes::INVALID_JSON, format!("The body cannot be read: {error}.")))
        })
        .boxed()
}

fn device(caller: &Caller, headers: &HeaderMap) -> Device {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Device::new(user_agent, caller.address)
}

impl App {
    pub(super) fn source(&self, caller: &Caller, headers: &HeaderMap) -> Source {
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers.clone();
        let source = Source::of(&request, &self.service.config.http);
        Source { address: caller.address, origin: caller.origin.clone(), ..source }
    }

    async fn register(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Result<Register, Problem>,
    ) -> Result<Response, Problem> {
        let source = self.source(caller, headers);
        check_same_site(headers, &source, &self.service.config.http)?;
        let body = body?;
        let signed_in = self.service.register(&body, &device(caller, headers), kit::clock::now()).await?;
        Ok(self.signed_in(StatusCode::CREATED, &source, signed_in, body.return_refresh_token))
    }

    async fn login(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Result<Login, Problem>,
    ) -> Result<Response, Problem> {
        let source = self.source(caller, headers);
        check_same_site(headers, &source, &self.service.config.http)?;
        let body = body?;
        let signed_in = self.service.login(&body, &device(caller, headers), kit::clock::now()).await?;
        Ok(self.signed_in(StatusCode::OK, &source, signed_in, body.return_refresh_token))
    }

    async fn refresh(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Result<Refresh, Problem>,
    ) -> Result<Response, Problem> {
        let source = self.source(caller, headers);
        let (token, from_body) = self.refresh_token(headers, &source, body?)?;
        let token = token.ok_or(GatewayError::RefreshInvalid)?;
        match self.service.renew(&token, &device(caller, headers), kit::clock::now()).await {
            Ok(signed_in) => Ok(self.signed_in(StatusCode::OK, &source, signed_in, from_body)),
            Err(error @ GatewayError::RefreshInvalid) if !from_body => {
                let mut response = reply::problem(error);
                cookies::clear(response.headers_mut(), source.is_secure());
                Ok(response)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn logout(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Result<Refresh, Problem>,
    ) -> Result<Response, Problem> {
        let source = self.source(caller, headers);
        let (token, _) = self.refresh_token(headers, &source, body?)?;
        match (token, caller.user, caller.session) {
            (Some(token), ..) => drop(self.service.sessions.end_by_token(&token).await?),
            (None, Some(user), Some(session)) => self.service.sessions.end_own(user, session).await?,
            _ => {}
        }
        let mut response = reply::empty(StatusCode::NO_CONTENT);
        cookies::clear(response.headers_mut(), source.is_secure());
        Ok(response)
    }

    /// The refresh token of a request, and whether it came in the body. A cookie is only believed of our own pages.
    fn refresh_token(
        &self,
        headers: &HeaderMap,
        source: &Source,
        body: Refresh,
    ) -> Result<(Option<String>, bool), Problem> {
        if let Some(token) = body.refresh_token {
            return Ok((Some(token), true));
        }
        check_same_site(headers, source, &self.service.config.http)?;
        Ok((cookies::refresh(headers, source.is_secure()).map(str::to_owned), false))
    }

    fn signed_in(&self, status: StatusCode, source: &Source, signed_in: SignIn, return_token: bool) -> Response {
        let SignIn { user, access_token, media_token, refresh_token } = signed_in;
        let answer = SignedIn {
            user: user.me(),
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in: self.service.tokens.life_s(),
            refresh_token: return_token.then(|| refresh_token.clone()),
        };
        let mut response = reply::json(status, &answer);
        if !return_token {
            let refresh = (refresh_token.as_str(), self.service.config.auth.refresh_token_ttl_s);
            let media = (media_token.as_str(), self.service.tokens.life_s());
            cookies::set(response.headers_mut(), source.is_secure(), refresh, media);
        }
        response
    }

    fn sessions(&self, caller: &Caller) -> Result<serde_json::Value, Problem> {
        let user = caller.signed_in()?;
        let mut records = self.service.sessions.list(user)?;
        records.sort_by_key(|record| std::cmp::Reverse(record.last_seen_at));
        let items: Vec<Session> =
            records.iter().map(|record| record.session(Some(record.id) == caller.session)).collect();
        Ok(serde_json::json!({ "items": items }))
    }

    async fn end_session(&self, id: &str, caller: &Caller) -> Result<(), Problem> {
        let user = caller.signed_in()?;
        let id: SessionId = id.parse().map_err(|_| GatewayError::NotFound)?;
        Ok(self.service.sessions.end_own(user, id).await?)
    }
}
