//! Plans and reports in the state directory.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads and writes these files")]

use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::{PlanDigest, RunId};

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::plan::{CheckedPlan, file};

impl Context {
    fn plans(&self) -> PathBuf {
        self.cluster.state.join("plans")
    }

    /// Where the plan with this digest lies.
    pub(super) fn plan_path(&self, digest: &PlanDigest) -> PathBuf {
        self.plans().join(file::name(digest))
    }

    /// Where the report of a run lies.
    pub(super) fn report_path(&self, run: RunId) -> PathBuf {
        self.cluster.state.join("reports").join(format!("{run}.json"))
    }

    /// Writes a plan under its digest.
    pub(super) fn keep_plan(&self, plan: &CheckedPlan) -> Result<PathBuf, CommandError> {
        let path = self.plans().join(file::name(plan.digest()));
        write(&path, &file::write(plan))?;
        Ok(path)
    }

    /// Writes a report.
    pub(super) fn keep_report(&self, run: RunId, text: &str) -> Result<PathBuf, CommandError> {
        let path = self.report_path(run);
        write(&path, text)?;
        Ok(path)
    }

    /// The plan that an operator names: by its file, or by its digest's first
    /// digits.
    pub(super) fn named_plan(&self, name: &str) -> Result<(CheckedPlan, PathBuf), CommandError> {
        let is_digits = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = PathBuf::from(name);
        if !is_digits || path.exists() {
            let plan = self.read_plan(&path)?;
            return Ok((plan, path));
        }
        let path = self.plans().join(format!("{}.json", &name[..12]));
        let plan = self.read_plan(&path)?;
        file::is_called(&plan, name)
            .map_err(|source| CommandError::PlanFile { path: path.clone(), source })?;
        Ok((plan, path))
    }

    /// The plan of a run: the one that the journal names, and no other.
    pub(super) fn plan_of(
        &self,
        run: RunId,
        digest: &PlanDigest,
    ) -> Result<CheckedPlan, CommandError> {
        let path = self.plan_path(digest);
        let lost = |source: CommandError| CommandError::PlanOfRun {
            run: run.to_string(),
            digest: digest.clone(),
            path: path.clone(),
            source: Box::new(source),
        };
        let plan = self.read_plan(&path).map_err(lost)?;
        file::is_called(&plan, digest.as_str())
            .map_err(|source| lost(CommandError::PlanFile { path: path.clone(), source }))?;
        Ok(plan)
    }

    fn read_plan(&self, path: &Path) -> Result<CheckedPlan, CommandError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CommandError::ReadPlan { path: path.to_owned(), source })?;
        file::read(&text, &self.cluster.name)
            .map_err(|source| CommandError::PlanFile { path: path.to_owned(), source })
    }
}

/// Whole, or not at all; on the disk when it returns.
fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let beside = path.with_extension("tmp");
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory).map_err(file_error("create", directory))?;
    std::fs::write(&beside, text).map_err(file_error("write", &beside))?;
    std::fs::File::open(&beside)
        .and_then(|file| file.sync_all())
        .map_err(file_error("sync", &beside))?;
    std::fs::rename(&beside, path).map_err(file_error("write", path))?;
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(file_error("sync", directory))
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let path = path.to_owned();
    move |source| CommandError::File { what, path, source }
}

#[cfg(test)]
mod tests;
