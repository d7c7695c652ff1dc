//! Owner, mode, ACL and security label: what a file has beside its bytes.

use std::ffi::{CStr, CString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{
    fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr, fsetxattr,
};
use rustix::io::Errno;

use super::{ConfigFile, ConfigFileError, open_itself};

/// The access control list, which a new file may have from its directory.
const ACL: &CStr = c"system.posix_acl_access";

/// Attributes that belong to the bytes: those of other bytes are wrong.
const OF_THE_BYTES: [&CStr; 2] = [c"security.evm", c"security.ima"];

/// Gives `target` what `from` has; `path` is its name, for people. Owner first, for changing it clears bits of
/// the mode; a list that only `path` has before the mode, for with it the
/// group's bits mean something else; attributes last, for the ACL is among
/// them.
pub(super) fn copy(from: &ConfigFile, target: &File, path: &Path) -> Result<(), ConfigFileError> {
    let failed = |what: &str| {
        let (what, path) = (what.to_owned(), path.to_owned());
        move |source| ConfigFileError::Attribute { what, path, source }
    };
    let metadata = target.metadata().map_err(failed("attributes"))?;
    if (metadata.uid(), metadata.gid()) != (from.owner, from.group) {
        fchown(target, Some(from.owner), Some(from.group)).map_err(failed("owner and group"))?;
    }
    let source = open_itself(&from.path).map_err(failed("attributes"))?;
    let wanted = names(&source).map_err(failed("attributes"))?;
    if has_surplus_list(target, &wanted).map_err(failed("access control list"))? {
        fremovexattr(target, ACL)
            .map_err(|errno| failed("missing access control list")(errno.into()))?;
    }
    target.set_permissions(Permissions::from_mode(from.permissions)).map_err(failed("mode"))?;
    for name in wanted {
        let shown = name.to_string_lossy();
        let value = value(&source, &name).map_err(failed(&shown))?;
        let Some(value) = value else { continue };
        // A label that the directory gives by itself needs no right to be set.
        if self::value(target, &name).map_err(failed(&shown))?.as_ref() == Some(&value) {
            continue;
        }
        fsetxattr(target, name.as_c_str(), &value, rustix::fs::XattrFlags::empty())
            .map_err(|errno| failed(&shown)(errno.into()))?;
    }
    Ok(())
}

/// Whether `path` has all that `copy` would give it.
pub(super) fn are_on(from: &ConfigFile, path: &Path) -> Result<bool, ConfigFileError> {
    let failed = |source| ConfigFileError::disk("look at the attributes of", path)(source);
    let target = open_itself(path).map_err(failed)?;
    let metadata = target.metadata().map_err(failed)?;
    let has = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
    if has != (from.owner, from.group, from.permissions) {
        return Ok(false);
    }
    let source = open_itself(&from.path).map_err(failed)?;
    let wanted = names(&source).map_err(failed)?;
    if has_surplus_list(&target, &wanted).map_err(failed)? {
        return Ok(false);
    }
    for name in wanted {
        let wanted = value(&source, &name).map_err(failed)?;
        if wanted.is_some() && value(&target, &name).map_err(failed)? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_surplus_list(target: &File, wanted: &[CString]) -> io::Result<bool> {
    let is_wanted = wanted.iter().any(|name| name.as_c_str() == ACL);
    Ok(!is_wanted && value(target, ACL)?.is_some())
}

/// The names of a file's extended attributes that are not its bytes'; none
/// where the file system has none.
fn names(file: &File) -> io::Result<Vec<CString>> {
    let mut bytes = match flistxattr_query(file) {
        Ok(length) => vec![0_u8; length],
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let length = flistxattr(file, bytes.as_mut_slice())?;
    bytes.truncate(length);
    Ok(bytes
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .filter(|name| !OF_THE_BYTES.contains(name))
        .map(CStr::to_owned)
        .collect())
}

/// The value of one attribute; `None` = it is not there.
fn value(file: &File, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let length = match fgetxattr_query(file, name) {
        Ok(length) => length,
        Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = vec![0_u8; length];
    let length = fgetxattr(file, name, bytes.as_mut_slice())?;
    bytes.truncate(length);
    Ok(Some(bytes))
}
