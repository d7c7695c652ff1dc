//! Puts the lab's images into a real registry through Docker, and takes them away again.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: disk, programs and Docker are its job"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    ImportImageOptions, ListImagesOptions, PushImageOptionsBuilder, RemoveImageOptions,
};
use futures::{StreamExt, TryStreamExt};

use super::archive::archive;
use super::{ArchiveError, ImageFile, LabImage, PROGRAM};

#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    #[error("cannot read `{}` for the image", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot run `ldd {}` to find the libraries that its image needs", path.display())]
    Ldd { path: PathBuf, source: io::Error },
    #[error("`ldd {}` failed: {said}", path.display())]
    LddFailed { path: PathBuf, said: String },
    #[error("cannot make image `{reference}`")]
    Archive { reference: String, source: ArchiveError },
    #[error("Docker cannot load image `{reference}`")]
    Load { reference: String, source: bollard::errors::Error },
    #[error("Docker cannot push image `{reference}`: {said}")]
    Push { reference: String, said: String },
    #[error("Docker cannot list its images")]
    List { source: bollard::errors::Error },
    #[error("Docker cannot remove image `{reference}`")]
    Remove { reference: String, source: bollard::errors::Error },
}

/// Loads and pushes each image, whose program is `program` on this machine. `work` is a directory
/// for a stripped copy.
pub async fn publish(
    docker: &Docker,
    images: &[&LabImage],
    program: &Path,
    work: &Path,
) -> Result<(), ImagesError> {
    let files = image_files(program, work)?;
    for image in images {
        let reference = image.reference();
        let tar = archive(image, &files)
            .map_err(|source| ImagesError::Archive { reference: reference.clone(), source })?;
        docker
            .import_image(ImportImageOptions::default(), bollard::body_full(tar.into()), None)
            .try_collect::<Vec<_>>()
            .await
            .map_err(|source| ImagesError::Load { reference: reference.clone(), source })?;
        push(docker, image).await?;
    }
    Ok(())
}

async fn push(docker: &Docker, image: &LabImage) -> Result<(), ImagesError> {
    let failed = |said: String| ImagesError::Push { reference: image.reference(), said };
    let options = PushImageOptionsBuilder::default().tag(&image.tag).build();
    // The engine wants the header that credentials travel in even where none are needed.
    let nobody = Some(DockerCredentials::default());
    let mut lines = std::pin::pin!(docker.push_image(&image.repository, Some(options), nobody));
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| failed(error.to_string()))?;
        // A push that fails half-way says so inside an answer of 200.
        if let Some(message) = line.error_detail.and_then(|detail| detail.message) {
            return Err(failed(message));
        }
    }
    Ok(())
}

/// Removes a tag; one that is not there counts as removed.
pub async fn remove(docker: &Docker, reference: &str) -> Result<(), ImagesError> {
    match docker.remove_image(reference, None::<RemoveImageOptions>, None).await {
        Ok(_) => Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(source) => Err(ImagesError::Remove { reference: reference.to_owned(), source }),
    }
}

/// Removes every image that came from `registry`, also those that were pulled by digest only.
pub async fn remove_all_of(docker: &Docker, registry: &str) -> Result<(), ImagesError> {
    let prefix = format!("{registry}/");
    let images = docker
        .list_images(None::<ListImagesOptions>)
        .await
        .map_err(|source| ImagesError::List { source })?;
    let names = images.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests].concat());
    for name in names.filter(|name| name.starts_with(&prefix)) {
        remove(docker, &name).await?;
    }
    Ok(())
}

/// The program, stripped where that can be done, and every library that ldd names, each at its own
/// path: an image FROM scratch has nothing else.
fn image_files(program: &Path, work: &Path) -> Result<Vec<ImageFile>, ImagesError> {
    let stripped = work.join("stripped");
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).output();
    let source = match strip {
        Ok(output) if output.status.success() => stripped.as_path(),
        Ok(_) | Err(_) => program,
    };
    let mut files = vec![ImageFile { path: PROGRAM.into(), bytes: read(source)? }];
    for library in libraries(program)? {
        files.push(ImageFile { bytes: read(&library)?, path: library });
    }
    Ok(files)
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>, ImagesError> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .map_err(|source| ImagesError::Ldd { path: program.to_owned(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ImagesError::LddFailed { path: program.to_owned(), said });
    }
    Ok(parse_ldd(&String::from_utf8_lossy(&output.stdout)))
}

/// Takes the path on each line: behind `=>`, or alone for the loader. The kernel's own page
/// (linux-vdso) has none.
fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let place = line.split_once("=>").map_or(line, |(_, place)| place);
            place.split_ascii_whitespace().next().filter(|path| path.starts_with('/'))
        })
        .map(PathBuf::from)
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ImagesError> {
    fs::read(path).map_err(|source| ImagesError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_loader_are_taken_from_what_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1c)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f1d)\n";
        assert_eq!(
            parse_ldd(text),
            [
                Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
                Path::new("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }
}
