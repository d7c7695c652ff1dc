//! How the program ends. Scripts rely on these numbers.

use std::process::ExitCode;

/// Each way to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// What was asked is done.
    Done,
    /// It failed, and the registry is as the message says.
    Failed,
    /// The command line or a file is wrong; nothing was done.
    Usage,
    /// A check refused; nothing was changed.
    Refused,
    /// The plan is stale; what was staged is taken back.
    Stale,
    /// Another process or person drives.
    LeaseHeld,
    /// Only a gate, a window or an approval is left.
    Waiting,
    /// It failed, and the service that the window found is back.
    PutBack,
    /// It failed after the point of no return.
    FailedBeyond,
    /// A node does not answer.
    Unreachable,
    /// Interrupted by a signal.
    Interrupted,
}

impl Exit {
    /// Every way, in the order of the numbers.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Stale,
        Self::LeaseHeld,
        Self::Waiting,
        Self::PutBack,
        Self::FailedBeyond,
        Self::Unreachable,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Stale => 4,
            Self::LeaseHeld => 5,
            Self::Waiting => 6,
            Self::PutBack => 7,
            Self::FailedBeyond => 8,
            Self::Unreachable => 9,
            Self::Interrupted => 130,
        }
    }

    /// What it means, for the help.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "wrong command line or cluster file; nothing was done",
            Self::Refused => "a check refused; nothing was changed",
            Self::Stale => "the plan is stale; what was staged is taken back",
            Self::LeaseHeld => "another process or person drives",
            Self::Waiting => "waiting for a gate, a window or an approval",
            Self::PutBack => "failed or aborted, and put back: the service is as it was",
            Self::FailedBeyond => "failed past the point of no return",
            Self::Unreachable => "a node does not answer",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The list for the end of the help.
pub fn list() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_rely_on_these_numbers() {
        insta::assert_snapshot!(list(), @r"
        Exit codes:
            0  done
            1  failed
            2  wrong command line or cluster file; nothing was done
            3  a check refused; nothing was changed
            4  the plan is stale; what was staged is taken back
            5  another process or person drives
            6  waiting for a gate, a window or an approval
            7  failed or aborted, and put back: the service is as it was
            8  failed past the point of no return
            9  a node does not answer
          130  interrupted
        ");
    }
}
