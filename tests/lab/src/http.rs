//! The smallest HTTP client that a prober needs: GET over one kept connection, 50 times a second
//! and node, at next to no cost.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A Quay that is up answers within milliseconds; one whose database hangs takes three seconds
/// (quay-observed 2), and is not healthy meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// No answer that the lab reads is larger.
const MOST_BYTES: usize = 1 << 20;

/// A connection to one address, made when it is needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Where the parts of an answer are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Head {
    status: u16,
    body_from: usize,
    /// `None`: the end of the connection ends the body.
    body_length: Option<usize>,
    closes: bool,
}

impl Connection {
    pub fn new(address: impl Into<SocketAddr>) -> Self {
        Self { address: address.into(), stream: None, buffer: Vec::new() }
    }

    /// `None`: no HTTP answer within a second. A kept connection that turns out to be dead is
    /// replaced once, so that its end is not taken for the server's silence.
    pub async fn get(&mut self, path: &str) -> Option<Answer> {
        let was_kept = self.stream.is_some();
        if let Some(answer) = self.attempt(path).await {
            return Some(answer);
        }
        if was_kept { self.attempt(path).await } else { None }
    }

    async fn attempt(&mut self, path: &str) -> Option<Answer> {
        // Taken out, so that a failure of any kind leaves no half-read connection behind.
        let stream = self.stream.take();
        let (answer, stream) = timeout(PATIENCE, self.exchange(stream, path)).await.ok()??;
        self.stream = stream;
        Some(answer)
    }

    async fn exchange(
        &mut self,
        stream: Option<TcpStream>,
        path: &str,
    ) -> Option<(Answer, Option<TcpStream>)> {
        let mut stream = match stream {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await.ok()?,
        };
        stream.set_nodelay(true).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let buffer = &mut self.buffer;
        buffer.clear();
        let head = loop {
            if let Some(head) = parse_head(buffer)? {
                break head;
            }
            if buffer.len() > MOST_BYTES || stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        };
        let wanted = head.body_length.map(|length| head.body_from.saturating_add(length));
        while wanted.is_none_or(|wanted| buffer.len() < wanted) {
            if buffer.len() > MOST_BYTES {
                return None;
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                break;
            }
        }
        if wanted.is_some_and(|wanted| buffer.len() < wanted) {
            return None;
        }
        let body = buffer.get(head.body_from..wanted.unwrap_or(buffer.len()))?.to_vec();
        let keep = wanted.is_some() && !head.closes;
        Some((Answer { status: head.status, body }, keep.then_some(stream)))
    }
}

/// `Some(None)`: more bytes are needed. `None`: not HTTP.
fn parse_head(bytes: &[u8]) -> Option<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Some(None);
    };
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let version = first.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status: u16 = first.next()?.parse().ok()?;
    let mut head =
        Head { status, body_from: end + 4, body_length: None, closes: version == "HTTP/1.0" };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            head.body_length = Some(value.trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // The lab's servers send lengths; the status is all that a chunked answer gives.
            return Some(Some(Head { body_length: Some(0), closes: true, ..head }));
        }
    }
    Some(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::net::TcpListener;

    /// Answers one prepared text a connection.
    async fn serve(answers: Vec<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_connection_that_the_server_dropped_is_made_anew() {
        let address = serve(vec![
            "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes",
        ])
        .await;
        let mut connection = Connection::new(address);
        assert_eq!(connection.get("/").await.unwrap().status, 503);
        assert_eq!(connection.get("/").await.unwrap(), Answer { status: 200, body: b"yes".into() });
        assert_eq!(connection.get("/").await, None);
    }

    #[tokio::test]
    async fn half_an_answer_is_no_answer() {
        let address = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nhalf"]).await;
        assert_eq!(Connection::new(address).get("/").await, None);
    }
}
