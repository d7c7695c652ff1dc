//! A door before a registry, which a test can close, jam, or slam once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quaymaster_lab::cluster::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of a connection. A registry's answers are counted, in bytes,
/// connection by connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    Open,
    /// Nobody listens.
    Closed,
    /// The first connection that gets so far breaks off.
    BreaksOffOnce {
        after: usize,
    },
    /// No connection gets any further.
    Jams {
        after: usize,
    },
}

/// The door, on a loopback port of its own.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) port: u16,
    door: watch::Sender<Door>,
    serving: JoinHandle<()>,
}

impl Front {
    /// Open, before the registry on 127.0.0.1:`upstream`.
    pub(super) async fn before(upstream: u16) -> Self {
        let port = free_port();
        let (door, seen) = watch::channel(Door::Open);
        let serving = tokio::spawn(serve(port, upstream, seen));
        let front = Self { port, door, serving };
        front.set(Door::Open).await;
        front
    }

    /// Changes the door, ends every connection through it, and returns when
    /// that can be seen from outside.
    pub(super) async fn set(&self, door: Door) {
        self.door.send_replace(door);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        until("the door", Duration::from_secs(20), async || {
            match TcpStream::connect(address).await.is_ok() == (door != Door::Closed) {
                true => Ok(()),
                false => Err(format!("not yet {door:?}")),
            }
        })
        .await
        .unwrap();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

async fn serve(port: u16, upstream: u16, mut door: watch::Receiver<Door>) {
    loop {
        let now = *door.borrow_and_update();
        if now == Door::Closed {
            door.changed().await.unwrap();
            continue;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let has_broken = Arc::new(AtomicBool::new(false));
        loop {
            let client = tokio::select! {
                changed = door.changed() => {
                    changed.unwrap();
                    break;
                }
                accepted = listener.accept() => accepted.unwrap().0,
            };
            let (mut changed, has_broken) = (door.clone(), Arc::clone(&has_broken));
            tokio::spawn(async move {
                tokio::select! {
                    _ = changed.changed() => {}
                    () = connection(client, upstream, now, &has_broken) => {}
                }
            });
        }
    }
}

/// Hands on what both sides say until one of them has had enough.
async fn connection(client: TcpStream, upstream: u16, door: Door, has_broken: &AtomicBool) {
    let Ok(registry) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else { return };
    let (mut asks, mut hears) = client.into_split();
    let (mut answers, mut is_asked) = registry.into_split();
    let asking = async {
        // An end is an end, of whatever kind.
        let _ = tokio::io::copy(&mut asks, &mut is_asked).await;
    };
    let answering = async {
        let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
        while let Ok(length @ 1..) = answers.read(&mut buffer).await {
            passed += length;
            match door {
                Door::BreaksOffOnce { after }
                    if passed > after && !has_broken.swap(true, Ordering::Relaxed) =>
                {
                    return;
                }
                Door::Jams { after } if passed > after => std::future::pending().await,
                Door::Open | Door::Closed | Door::BreaksOffOnce { .. } | Door::Jams { .. } => {}
            }
            if hears.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}
