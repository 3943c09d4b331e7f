//! The one page of the web app, and what is put into it before it is sent.

use std::fmt::Write;

use proto::api::instance::Instance;

/// Where what the server knows goes.
const HEAD: &str = "<!--djstream:head-->";
const BODY: &str = "<!--djstream:body-->";

/// The page in three pieces, with the places for head and body between them.
#[derive(Debug)]
pub(super) struct Shell {
    before_head: String,
    before_body: String,
    rest: String,
}

/// What goes into the page.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Tags for the head; text in them is escaped already.
    pub(super) head: String,
    /// For the first paint, before the app runs.
    pub(super) body: String,
    /// The video's document as JSON.
    pub(super) video: Option<String>,
}

impl Shell {
    /// The page, if it has both places.
    pub(super) fn parse(page: &str) -> Option<Self> {
        let (before_head, rest) = page.split_once(HEAD)?;
        let (before_body, rest) = rest.split_once(BODY)?;
        Some(Self { before_head: before_head.to_owned(), before_body: before_body.to_owned(), rest: rest.to_owned() })
    }

    /// The page with its content.
    pub(super) fn render(&self, instance: &Instance, content: &Content) -> String {
        let mut page = String::with_capacity(
            self.before_head.len()
                + self.before_body.len()
                + self.rest.len()
                + content.head.len()
                + content.body.len()
                + content.video.as_ref().map_or(0, String::len)
                + 1_024,
        );
        page.push_str(&self.before_head);
        page.push_str(&content.head);
        page.push_str("<script type=\"application/json\" id=\"djstream-data\">{\"instance\":");
        page.push_str(&json(instance));
        if let Some(video) = &content.video {
            page.push_str(",\"video\":");
            page.push_str(&in_script(video));
        }
        page.push_str("}</script>");
        page.push_str(&self.before_body);
        page.push_str(&content.body);
        page.push_str(&self.rest);
        page
    }
}

/// A value as JSON that may stand in a script element.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    in_script(&serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
}

/// JSON that cannot end its script element or start a comment in it: `<` occurs in JSON within strings only.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Text as it may stand in HTML and in an attribute's quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => {}
            c => out.push(c),
        }
    }
    out
}

/// `<title>`, `<meta name>`, `<meta property>` and `<link>` as they are needed in heads.
#[derive(Debug, Default)]
pub(super) struct Head(String);

impl Head {
    pub(super) fn title(&mut self, text: &str) {
        let _ = write!(self.0, "<title>{}</title>", escape(text));
    }

    pub(super) fn named(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            let _ = write!(self.0, "<meta name=\"{name}\" content=\"{}\">", escape(text));
        }
    }

    pub(super) fn property(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            let _ = write!(self.0, "<meta property=\"{name}\" content=\"{}\">", escape(text));
        }
    }

    pub(super) fn link(&mut self, rel: &str, more: &str, href: &str) {
        let _ = write!(self.0, "<link rel=\"{rel}\"{more} href=\"{}\">", escape(href));
    }

    /// Structured data (JSON-LD 1.1 §7). It is no script: nothing runs it.
    pub(super) fn data(&mut self, value: &serde_json::Value) {
        let _ = write!(self.0, "<script type=\"application/ld+json\">{}</script>", json(value));
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_in_the_data_ends_the_script() {
        let text = json(&"</script><!-- <script>\u{2028}");
        assert!(!text.contains('<') && !text.contains('\u{2028}'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "</script><!-- <script>\u{2028}");
    }

    #[test]
    fn nothing_in_a_text_ends_its_attribute() {
        let mut head = Head::default();
        head.named("description", "\"><script>alert('x')</script>&");
        let head = head.finish();
        assert_eq!(
            head,
            "<meta name=\"description\" content=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\">"
        );
    }

    #[test]
    fn the_content_goes_to_its_places() {
        let shell = Shell::parse("<head><!--djstream:head--></head><body><!--djstream:body--></body>").unwrap();
        let instance = Instance {
            name: "<b>".to_owned(),
            description: String::new(),
            accent: String::new(),
            registration: proto::api::instance::RegistrationPolicy::Open,
            needs_setup: false,
            version: String::new(),
            upload_max_bytes: 1,
            password_length_min: 15,
        };
        let content =
            Content { head: "[h]".to_owned(), body: "[b]".to_owned(), video: Some("{\"a\":\"<\"}".to_owned()) };
        let page = shell.render(&instance, &content);
        assert!(page.starts_with("<head>[h]<script type=\"application/json\" id=\"djstream-data\">"), "{page}");
        assert!(page.contains("\"video\":{\"a\":\"\\u003c\"}}</script></head><body>[b]</body>"), "{page}");
        assert!(Shell::parse("<html></html>").is_none());
    }
}
