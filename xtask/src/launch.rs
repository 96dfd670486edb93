//! Handing over to a program of the tests' package, which gets the arguments as they are.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::proc;
use crate::workspace::Workspace;

/// Becomes the program where the system allows it, so that signals reach it and nothing stands between it and the
/// terminal; elsewhere waits for it.
pub(crate) fn exec(workspace: &Workspace, program: &str, args: &[OsString]) -> Result<ExitCode> {
    let path = workspace.target.join("release").join(program).with_extension(std::env::consts::EXE_EXTENSION);
    if !path.is_file() {
        bail!(
            "{} was not built: package rillcast-tests has no program `{program}` in tests/src/bin",
            path.display()
        );
    }
    let mut command = workspace.command(&path);
    command.args(args);
    // Paths among the arguments are meant from where the user stands.
    command.current_dir(std::env::current_dir()?);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let error = command.exec();
        Err(anyhow::Error::new(error).context(format!("could not start `{}`", proc::shown(&command))))
    }
    #[cfg(not(unix))]
    {
        use anyhow::Context;
        let status =
            command.status().with_context(|| format!("could not start `{}`", proc::shown(&command)))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
