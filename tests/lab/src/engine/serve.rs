#![expect(clippy::disallowed_methods, reason = "an effect room: it owns the socket")]
//! The engine's way in: its options, its socket, its beginning and its end.

use super::{
    fault::Faults,
    fleet::Engine,
    http,
    image::StoredImage,
    process::kill_leftover,
    store::{Store, StoreError, create_directory},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long open requests may take to notice that the engine is going down.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where it listens.
    pub socket: PathBuf,
    /// Where it keeps its containers and images, from one start to the next.
    pub state: PathBuf,
    /// The `RegistryFile` that it pulls from, read at each pull.
    pub registry: Option<PathBuf>,
    /// The machine's name, as `info` shows it.
    pub node: String,
    /// The newest API that it speaks, as in `1.41`.
    pub api_version: String,
    /// The version that it gives itself.
    pub engine_version: String,
}

impl EngineOptions {
    /// An engine like Docker 20.10, without a registry.
    pub fn new(
        socket: impl Into<PathBuf>,
        state: impl Into<PathBuf>,
        node: impl Into<String>,
    ) -> Self {
        Self {
            socket: socket.into(),
            state: state.into(),
            registry: None,
            node: node.into(),
            api_version: "1.41".to_owned(),
            engine_version: "20.10.24-standin".to_owned(),
        }
    }
}

/// Why an engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot use the engine's directory")]
    Store(#[from] StoreError),
    #[error("another engine already answers on `{}`", socket.display())]
    InUse { socket: PathBuf },
    #[error("cannot listen on `{}`", socket.display())]
    Listen { socket: PathBuf, source: io::Error },
    #[error("cannot serve on `{}`", socket.display())]
    Serve { socket: PathBuf, source: io::Error },
    #[error("cannot wait for signals")]
    Signals { source: io::Error },
}

/// Runs an engine until `shutdown` is done, then kills its containers. Those
/// whose policy says so are running before the first request is answered.
pub async fn serve(
    options: EngineOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), EngineError> {
    let socket = options.socket.clone();
    let listener = listen(&socket).await?;
    let engine = Arc::new(Engine::open(options)?);
    engine.boot().await;
    let mut closing = engine.closing.subscribe();
    let server = axum::serve(listener, http::router(Arc::clone(&engine)))
        .with_graceful_shutdown(async move {
            let _ = closing.wait_for(|closing| *closing).await;
        })
        .into_future();
    tokio::pin!(server);
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown => Ok(()),
    };
    engine.shut_down().await;
    // Whoever still waits for an answer has been told by the end of its stream.
    let _ = timeout(LAST_ANSWERS, server).await;
    let _ = fs::remove_file(&socket);
    served.map_err(|source| EngineError::Serve { socket, source })
}

/// Runs an engine until the process gets SIGTERM or SIGINT.
pub async fn serve_until_signalled(options: EngineOptions) -> Result<(), EngineError> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|source| EngineError::Signals { source })?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|source| EngineError::Signals { source })?;
    serve(options, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Takes the place of a socket that nobody answers on any more.
async fn listen(socket: &Path) -> Result<UnixListener, EngineError> {
    if UnixStream::connect(socket).await.is_ok() {
        return Err(EngineError::InUse { socket: socket.to_owned() });
    }
    if let Some(directory) = socket.parent() {
        create_directory(directory)?;
    }
    let listen = |source| EngineError::Listen { socket: socket.to_owned(), source };
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen(error)),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(socket).map_err(listen)
}

/// Puts an image into an engine's directory, as `docker load` would; the
/// engine may run meanwhile.
pub fn load_image(state: &Path, image: &StoredImage) -> Result<(), StoreError> {
    Store::open(state)?.save_image(image)
}

/// Ends every process that the containers of a directory have, as a machine
/// does that loses its power. To be called when the engine itself was killed;
/// tells how many containers were running.
pub async fn power_off(state: &Path) -> Result<usize, StoreError> {
    let mut ended = 0;
    for container in Store::open(state)?.containers()? {
        if let Some(pid) = container.phase.pid() {
            ended += usize::from(kill_leftover(pid, &container.id).await);
        }
    }
    Ok(ended)
}

/// Sets what goes wrong from now on in the engine of a directory.
pub fn set_faults(state: &Path, faults: &Faults) -> Result<(), StoreError> {
    Store::open(state)?.save_faults(faults)
}
