//! The images of a verification: tiny, and all its own. The same nonce gives the same bytes. Pure.

use std::fmt;

use serde_json::{Value, json};

use super::digest;
use crate::registry::Content;
use crate::registry::media_type::{CONFIG, FOREIGN_LAYER, LAYER, LIST, SCHEMA_2};

/// For what machine an image is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Platform {
    /// Such as arm64.
    pub architecture: &'static str,
    /// Such as linux.
    pub os: &'static str,
}

/// The five of a verification's list.
pub const PLATFORMS: [Platform; 5] = [
    Platform { architecture: "amd64", os: "linux" },
    Platform { architecture: "arm", os: "linux" },
    Platform { architecture: "arm64", os: "linux" },
    Platform { architecture: "ppc64le", os: "linux" },
    Platform { architecture: "amd64", os: "windows" },
];

/// Of the Windows image: what Microsoft's own base layers would say (quay-facts 8.1).
const OS_VERSION: &str = "10.0.17763.1";
/// Of a layer that lies elsewhere; nobody fetches it.
const FOREIGN_URL: &str = "https://layers.example.com/quaymaster-verify";

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

/// Bytes that a registry keeps by their digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob {
    /// Of the bytes.
    pub digest: String,
    /// What is uploaded.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }
}

/// A manifest or a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// What it is.
    pub media_type: &'static str,
    /// Of the bytes; of a signed schema 1, of what is signed.
    pub digest: String,
    /// What is pushed.
    pub bytes: Vec<u8>,
}

impl Document {
    /// As it is pushed.
    pub fn content(&self) -> Content<'_> {
        Content { media_type: self.media_type, bytes: &self.bytes }
    }
}

/// One image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Its manifest.
    pub manifest: Document,
    /// Everything that is uploaded before it.
    pub blobs: Vec<Blob>,
}

/// A layer of one small file.
pub fn layer(nonce: &str, platform: Platform) -> Blob {
    let tar = tar(&format!("quaymaster verification {nonce} {platform}\n"));
    Blob::new(gzip(&tar))
}

/// A schema 2 image. That for Windows stands on a layer that lies elsewhere.
pub fn schema2(nonce: &str, platform: Platform) -> Image {
    let tar = tar(&format!("quaymaster verification {nonce} {platform}\n"));
    let layer = layer(nonce, platform);
    let is_windows = platform.os == "windows";
    let foreign = digest(format!("foreign {nonce}").as_bytes());
    let described = |media_type: &str, size: usize, digest: &str| json!({ "mediaType": media_type, "size": size, "digest": digest });
    let mut layers = vec![described(LAYER, layer.bytes.len(), &layer.digest)];
    let mut diff_ids = vec![digest(&tar)];
    let step = json!({ "created": CREATED, "created_by": "quaymaster verify" });
    let mut history = vec![step.clone()];
    if is_windows {
        let mut base = described(FOREIGN_LAYER, 1024, &foreign);
        base["urls"] = json!([FOREIGN_URL]);
        layers.insert(0, base);
        diff_ids.insert(0, digest(format!("foreign tar {nonce}").as_bytes()));
        history.push(step);
    }
    let Platform { architecture, os } = platform;
    let mut config = json!({
        "architecture": architecture,
        "os": os,
        "created": CREATED,
        "config": { "Cmd": ["/quaymaster-verify"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    });
    if is_windows {
        config["os.version"] = json!(OS_VERSION);
    }
    let config = Blob::new(config.to_string().into_bytes());
    let manifest = document(
        SCHEMA_2,
        &json!({
            "schemaVersion": 2,
            "mediaType": SCHEMA_2,
            "config": described(CONFIG, config.bytes.len(), &config.digest),
            "layers": layers,
        }),
    );
    Image { manifest, blobs: vec![layer, config] }
}

/// A list of images.
pub fn list(images: &[(Platform, Image)]) -> Document {
    let entry = |(platform, image): &(Platform, Image)| {
        let Platform { architecture, os } = platform;
        let mut of = json!({ "architecture": architecture, "os": os });
        if *os == "windows" {
            of["os.version"] = json!(OS_VERSION);
        }
        json!({
            "mediaType": SCHEMA_2,
            "size": image.manifest.bytes.len(),
            "digest": image.manifest.digest,
            "platform": of,
        })
    };
    let entries: Vec<Value> = images.iter().map(entry).collect();
    document(LIST, &json!({ "schemaVersion": 2, "mediaType": LIST, "manifests": entries }))
}

fn document(media_type: &'static str, json: &Value) -> Document {
    let bytes = json.to_string().into_bytes();
    Document { media_type, digest: digest(&bytes), bytes }
}

/// The same in every image: a moment would make other bytes.
pub(super) const CREATED: &str = "2019-05-01T00:00:00Z";

/// An archive of one file.
fn tar(content: &str) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "quaymaster-verify");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header;
    archive.extend_from_slice(content.as_bytes());
    // To the end of the block, and two empty ones.
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// A gzip file that stores without packing: of less than 64 KiB, in one block.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_same_nonce_gives_the_same_image_and_another_another() {
        let image = |nonce| schema2(nonce, PLATFORMS[0]);
        assert_eq!(image("a"), image("a"));
        assert_ne!(image("a").manifest.digest, image("b").manifest.digest);
        let all: std::collections::BTreeSet<String> =
            PLATFORMS.map(|platform| schema2("a", platform).manifest.digest).into();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn the_windows_image_stands_on_a_layer_elsewhere() {
        let image = schema2("a", PLATFORMS[4]);
        let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(manifest["layers"][0]["mediaType"], FOREIGN_LAYER);
        assert_eq!(manifest["layers"][0]["urls"][0], FOREIGN_URL);
        let foreign = manifest["layers"][0]["digest"].as_str().unwrap();
        assert!(image.blobs.iter().all(|blob| blob.digest != foreign));
    }
}
