//! The Redis that config.yaml names: its version, and nothing else. One short
//! session over the plain protocol; its password goes nowhere but there.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::secret::Secret;

/// The limit of the whole session.
const LIMIT: Duration = Duration::from_secs(2);

/// No section `server` comes near this, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Where a Redis is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RedisServer {
    /// A name or an address.
    pub(crate) host: String,
    /// As given, or the usual one.
    pub(crate) port: u16,
    /// Where it wants one.
    pub(crate) password: Option<Secret>,
}

/// What it says of itself; `None` = it does not answer from here, or not in
/// plain words.
pub(crate) async fn version(server: &RedisServer) -> Option<String> {
    tokio::time::timeout(LIMIT, ask(server)).await.ok()?
}

async fn ask(server: &RedisServer) -> Option<String> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await.ok()?;
    let mut stream = BufReader::new(stream.take(LONGEST_ANSWER));
    if let Some(password) = &server.password {
        let command = command(&["AUTH", password.expose()]);
        stream.get_mut().get_mut().write_all(command.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await.ok()?;
        answer.starts_with("+OK").then_some(())?;
    }
    let command = command(&["INFO", "server"]);
    stream.get_mut().get_mut().write_all(command.as_bytes()).await.ok()?;
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).await.ok()?;
        if read == 0 || line.starts_with('-') {
            return None;
        }
        if let Some(version) = line.strip_prefix("redis_version:") {
            return Some(version.trim().to_owned());
        }
    }
}

/// An array of texts with their lengths: nothing in them needs quoting.
fn command(words: &[&str]) -> String {
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n{}", words.len(), words.iter().map(word).collect::<String>())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Hears one session and answers each command in turn; what it heard.
    async fn asked(
        password: Option<&str>,
        answers: &'static [&'static str],
    ) -> (Option<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = RedisServer {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            password: password.map(Secret::new),
        };
        let hears = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = String::new();
            for answer in answers {
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes).await.unwrap();
                heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        (version(&server).await, hears.await.unwrap())
    }

    const INFO: &str = "$40\r\n# Server\r\nredis_version:3.0.7\r\nredis_mode:x\r\n\r\n";

    #[tokio::test]
    async fn a_server_says_its_version() {
        let (version, heard) = asked(None, &[INFO]).await;
        assert_eq!(version.as_deref(), Some("3.0.7"));
        assert_eq!(heard, "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n");
        let (version, heard) = asked(Some("hunter2"), &["+OK\r\n", INFO]).await;
        assert_eq!(version.as_deref(), Some("3.0.7"));
        assert!(heard.starts_with("*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n*2"), "{heard}");
    }

    #[tokio::test]
    async fn what_does_not_answer_plainly_has_no_version() {
        assert_eq!(asked(None, &["-NOAUTH Authentication required.\r\n"]).await.0, None);
        assert_eq!(asked(Some("wrong"), &["-ERR invalid password\r\n"]).await.0, None);
        let nobody = RedisServer { host: "127.0.0.1".to_owned(), port: 1, password: None };
        assert_eq!(version(&nobody).await, None);
    }
}
