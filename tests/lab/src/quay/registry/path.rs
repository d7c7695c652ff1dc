//! What a path below `/v2/` asks for. Pure. Only names that Quay itself takes get any further: they
//! become part of statements and of file names.

use super::super::percent;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::quay) struct Asked {
    /// `namespace/name`
    pub(in crate::quay) namespace: String,
    pub(in crate::quay) name: String,
    pub(in crate::quay) subject: Subject,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::quay) enum Subject {
    Tags,
    /// By tag or digest.
    Manifest(String),
    Blob(String),
    Uploads,
    Upload(String),
}

impl Asked {
    /// `None` = no path of a repository.
    pub(in crate::quay) fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/v2/")?.split('/');
        let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let rest: Vec<&str> = parts.collect();
        let subject = match rest.as_slice() {
            ["tags", "list"] => Subject::Tags,
            ["manifests", reference] => Subject::Manifest((*reference).to_owned()),
            ["blobs", "uploads", ""] => Subject::Uploads,
            ["blobs", "uploads", id] => Subject::Upload((*id).to_owned()),
            ["blobs", digest] => Subject::Blob((*digest).to_owned()),
            _ => return None,
        };
        let is_good = is_name(&namespace) && is_name(&name) && subject.is_good();
        is_good.then_some(Self { namespace, name, subject })
    }

    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Subject {
    fn is_good(&self) -> bool {
        match self {
            Self::Tags | Self::Uploads => true,
            Self::Manifest(reference) => is_digest(reference) || is_tag(reference),
            Self::Blob(digest) => is_digest(digest),
            Self::Upload(id) => {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            }
        }
    }
}

/// Of a namespace, a repository or a robot.
pub(super) fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    !text.is_empty() && text.bytes().all(is_fit)
}

fn is_tag(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_fit)
}

pub(super) fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A query's field, with its percents taken out.
pub(super) fn query(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
    percent::decoded(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_quay_takes_get_any_further() {
        let asked = Asked::of("/v2/devtable/s1/manifests/t1").unwrap();
        assert_eq!(asked.repository(), "devtable/s1");
        assert_eq!(asked.subject, Subject::Manifest("t1".to_owned()));
        assert!(Asked::of("/v2/devtable/s1/blobs/uploads/").is_some());
        for bad in [
            "/v2/devtable/manifests/t1",
            "/v2/dev'table/s1/manifests/t1",
            "/v2/devtable/s1/manifests/t'1",
            "/v2/devtable/s1/blobs/../x",
            "/v2/a/b/c/tags/list",
        ] {
            assert_eq!(Asked::of(bad), None, "{bad}");
        }
        assert_eq!(query("a=b&scope=x%3Ay", "scope").as_deref(), Some("x:y"));
    }
}
