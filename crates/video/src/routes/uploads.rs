//! Resumable uploads: tus 1.0.0 with creation, creation-with-upload, creation-defer-length, termination and
//! expiration. Checksums of single requests are not spoken; the whole file's is (`sha256` in the metadata).

use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use kit::http::filter::BodyStream;
use kit::http::{Response, Routes, filter, reply};
use kit::{Caller, clock};
use proto::{Problem, Timestamp, UploadId};
use warp::Filter;

use super::with;
use crate::error::{Error, Result, UploadError};
use crate::service::{Appending, NewUpload, Service, UploadPosition};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,termination,expiration";
const OFFSET_STREAM: &str = "application/offset+octet-stream";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const DJSTREAM_VIDEO: HeaderName = HeaderName::from_static("djstream-video");

pub(super) fn routes(service: &Arc<Service>, size_max: u64) -> Routes {
    create(service)
        .or(options(size_max))
        .unify()
        .or(position(service))
        .unify()
        .or(append(service))
        .unify()
        .or(terminate(service))
        .unify()
        .boxed()
}

fn options(size_max: u64) -> Routes {
    let answer = move || {
        let response = reply::with_header(reply::empty(StatusCode::NO_CONTENT), TUS_EXTENSION, EXTENSIONS);
        let response = reply::with_header(response, TUS_VERSION, VERSION);
        let response = reply::with_header(response, TUS_MAX_SIZE, size_max.to_string());
        reply::with_header(response, TUS_RESUMABLE, VERSION)
    };
    let collection = warp::path!("api" / "uploads").and(warp::options()).map(answer);
    let one = warp::path!("api" / "uploads" / UploadId).and(warp::options()).map(move |_| answer());
    collection.or(one).unify().boxed()
}

fn create(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "uploads")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::body_stream())
        .then(async |service: Arc<Service>, caller: Caller, headers: HeaderMap, body: BodyStream| {
            tus(created(&service, &caller, &headers, body).await)
        })
        .boxed()
}

async fn created(service: &Arc<Service>, caller: &Caller, headers: &HeaderMap, body: BodyStream) -> Result<Response> {
    check_version(headers)?;
    let new = NewUpload {
        length: announced_length(headers)?,
        metadata: text(headers, &UPLOAD_METADATA)?.unwrap_or_default().to_owned(),
    };
    let mut position = service.create_upload(caller, new, clock::now()).await?;
    let with_bytes = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == OFFSET_STREAM);
    if with_bytes && position.length != Some(0) {
        let id = position.id;
        let content_length = number(headers, &CONTENT_LENGTH)?;
        let appending = Appending { id, offset: 0, length: None, content_length, body, clock: clock::now };
        position = service.append(caller, appending).await?;
    }
    let response = positioned(reply::empty(StatusCode::CREATED), &position);
    Ok(reply::with_header(response, LOCATION, format!("/api/uploads/{}", position.id)))
}

fn position(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "uploads" / UploadId)
        .and(warp::head())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .then(async |id: UploadId, service: Arc<Service>, caller: Caller, headers: HeaderMap| {
            tus(async {
                check_version(&headers)?;
                let (position, metadata) = service.upload_position(&caller, id).await?;
                let response = positioned(reply::empty(StatusCode::OK), &position);
                Ok(if metadata.is_empty() { response } else { reply::with_header(response, UPLOAD_METADATA, metadata) })
            }
            .await)
        })
        .boxed()
}

fn append(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "uploads" / UploadId)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::body_stream())
        .then(async |id: UploadId, service: Arc<Service>, caller: Caller, headers: HeaderMap, body: BodyStream| {
            tus(async {
                let appending = appending(id, &headers, body)?;
                let position = service.append(&caller, appending).await?;
                Ok(positioned(reply::empty(StatusCode::NO_CONTENT), &position))
            }
            .await)
        })
        .boxed()
}

fn appending(id: UploadId, headers: &HeaderMap, body: BodyStream) -> Result<Appending> {
    check_version(headers)?;
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != OFFSET_STREAM) {
        return Err(UploadError::ContentType.into());
    }
    let missing = UploadError::Header { header: "Upload-Offset", detail: "it is missing" };
    Ok(Appending {
        id,
        offset: number(headers, &UPLOAD_OFFSET)?.ok_or(missing)?,
        length: number(headers, &UPLOAD_LENGTH)?,
        content_length: number(headers, &CONTENT_LENGTH)?,
        body,
        clock: clock::now,
    })
}

fn terminate(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "uploads" / UploadId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .then(async |id: UploadId, service: Arc<Service>, caller: Caller, headers: HeaderMap| {
            tus(async {
                check_version(&headers)?;
                service.delete_upload(&caller, id).await?;
                Ok(reply::empty(StatusCode::NO_CONTENT))
            }
            .await)
        })
        .boxed()
}

/// Every answer says which version is spoken, errors too.
fn tus(result: Result<Response>) -> Response {
    let response = match result {
        Ok(response) => response,
        Err(error) => {
            let version = matches!(error, Error::Upload(UploadError::Version));
            let offset = if let Error::Upload(UploadError::Offset(offset)) = &error { Some(*offset) } else { None };
            let mut response = reply::problem(Problem::from(error));
            if version {
                response = reply::with_header(response, TUS_VERSION, VERSION);
            }
            if let Some(offset) = offset {
                response = reply::with_header(response, UPLOAD_OFFSET, offset.to_string());
            }
            response
        }
    };
    let response = reply::with_header(response, TUS_RESUMABLE, VERSION);
    reply::with_header(response, CACHE_CONTROL, "no-store")
}

fn positioned(response: Response, position: &UploadPosition) -> Response {
    let response = reply::with_header(response, DJSTREAM_VIDEO, position.video.to_string());
    let response = reply::with_header(response, UPLOAD_OFFSET, position.offset.to_string());
    let response = match position.length {
        Some(length) => reply::with_header(response, UPLOAD_LENGTH, length.to_string()),
        None => reply::with_header(response, UPLOAD_DEFER_LENGTH, "1"),
    };
    match position.expires_at.and_then(http_date) {
        Some(date) => reply::with_header(response, UPLOAD_EXPIRES, date),
        None => response,
    }
}

/// RFC 9110 §5.6.7.
fn http_date(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(time.ms()).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

fn check_version(headers: &HeaderMap) -> Result<(), UploadError> {
    match headers.get(TUS_RESUMABLE) {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(UploadError::Version),
    }
}

/// `Upload-Length`, or `None` when it is deferred.
fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, UploadError> {
    let length = number(headers, &UPLOAD_LENGTH)?;
    let deferred = headers.get(UPLOAD_DEFER_LENGTH).is_some_and(|value| value == "1");
    match (length, deferred) {
        (Some(length), false) => Ok(Some(length)),
        (None, true) => Ok(None),
        (Some(_), true) => Err(UploadError::Header { header: "Upload-Defer-Length", detail: "a length is given" }),
        (None, false) => Err(UploadError::Header { header: "Upload-Length", detail: "it is missing" }),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, UploadError> {
    let unreadable = |_| UploadError::Header { header: "Upload-Metadata", detail: "ASCII is expected" };
    headers.get(name).map(|value| value.to_str().map_err(unreadable)).transpose()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, UploadError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match parsed.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(UploadError::Header { header: header_name(name), detail: "a whole number is expected" }),
    }
}

fn header_name(name: &HeaderName) -> &'static str {
    match name.as_str() {
        "upload-offset" => "Upload-Offset",
        "upload-length" => "Upload-Length",
        _ => "Content-Length",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_length_is_given_or_deferred() {
        assert_eq!(announced_length(&headers(&[("upload-length", "10")])).unwrap(), Some(10));
        assert_eq!(announced_length(&headers(&[("upload-defer-length", "1")])).unwrap(), None);
        for wrong in [
            vec![],
            vec![("upload-length", "-1")],
            vec![("upload-length", "+1")],
            vec![("upload-length", "1"), ("upload-defer-length", "1")],
            vec![("upload-defer-length", "2")],
        ] {
            assert!(announced_length(&headers(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn dates_are_as_http_wants_them() {
        assert_eq!(http_date(Timestamp::from_ms(784_111_777_000)).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
