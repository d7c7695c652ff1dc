//! `abort`: back to what the window found, while that can be.

use crate::args::AbortArgs;
use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::commands::drive::Ordered;
use crate::commands::resume;
use crate::exit::Exit;

pub(super) async fn run(context: &Context, args: &AbortArgs) -> Result<Exit, CommandError> {
    let AbortArgs { because, drive } = args;
    let found = resume::find(context).await?;
    let ordered = Ordered::Abort { because: because.clone() };
    resume::take_in_hand(context, found, drive, Some(ordered)).await
}
