//! Brings the records of a lab together from its directories.

use std::path::Path;

use super::Records;
use crate::record::{ReadError, read_directory};

#[derive(Debug, thiserror::Error)]
#[error("cannot load what the lab saw")]
pub struct LoadError(#[from] ReadError);

/// Loads every record file in these directories: the stand-ins' own and the observer's.
pub fn load(directories: &[&Path]) -> Result<Records, LoadError> {
    let mut records = Vec::new();
    for directory in directories {
        records.extend(read_directory(directory)?);
    }
    Ok(Records::new(records))
}
