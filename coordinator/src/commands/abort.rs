//! `abort`: back to what the window found, while that can be.

use crate::args::AbortArgs;
use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::commands::drive::Ordered;
use crate::commands::resume::{self, Found};
use crate::exit::Exit;

pub(super) async fn run(context: &Context, args: &AbortArgs) -> Result<Exit, CommandError> {
    let AbortArgs { because, drive } = args;
    let Found { journal, history, found, nodes } = resume::find(context).await?;
    let ordered = Ordered::Abort { because: because.clone() };
    resume::take_in_hand(context, journal, &history, found, nodes, drive, Some(ordered)).await
}
