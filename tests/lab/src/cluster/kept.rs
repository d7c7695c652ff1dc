//! An image that was there before an upgrade: pushed as a user of 2.9.5 would have, and named in
//! cluster.yaml, so that a verification has something to find again.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: it reads and writes the lab's files"
)]

use std::fs;
use std::io;

use quaymaster::registry::{Client, CredentialsError, Door, DoorError, Patience, Trouble, login};
use quaymaster::verify::schema1::{self, Key, NoKey};

use super::Lab;
use super::texts::{self, KEPT};

/// Why it could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the lab's files")]
    Files(#[from] io::Error),
    #[error("the lab's robot")]
    Robot(#[from] CredentialsError),
    #[error("a client of the lab's registry")]
    Client(#[from] DoorError),
    #[error("an image for the lab's registry")]
    Key(#[from] NoKey),
    #[error("the lab's registry takes no image")]
    Push(#[from] Trouble),
}

/// A lab's Quays answer at once, or not.
const PATIENCE: Patience = Patience { tries: 3, pause: std::time::Duration::from_millis(200) };

impl Lab {
    /// Pushes it by the first node, and names its repository in cluster.yaml.
    pub async fn keep_image(&self, tag: &str) -> Result<(), KeepError> {
        // What reqwest asks for even over plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Some(node) = self.nodes().first() else { return Ok(()) };
        let authority = node.http().to_string();
        let door = Door { scheme: "http".to_owned(), authority, at: None };
        let client = Client::new(door, None, PATIENCE)?;
        let login = login(&fs::read_to_string(self.layout().robot_file())?, &[])?;
        let Some(challenge) = client.challenge().await? else { return Ok(()) };
        let access = client.token(&challenge, Some(&login), KEPT, "push,pull").await?;
        let image = schema1::image("kept", KEPT, tag, &Key::make()?)?;
        for blob in &image.blobs {
            client.push_blob(&access, KEPT, &blob.digest, &blob.bytes).await?;
        }
        client.put_manifest(&access, KEPT, tag, image.manifest.content()).await?;
        let path = self.layout().cluster_file();
        let text = fs::read_to_string(&path)?;
        fs::write(&path, text.replace(texts::VERIFY, &texts::verify_kept()))?;
        Ok(())
    }
}
