//! After a window into complete mode: how many tags that mode does not know.
//! The offline backfill passes over a tag that it cannot map and says nothing
//! (quay-facts 3.3). The cluster serves by then, so it may take its time, and
//! what it brings stops nothing.

use quaymaster_proto::Mode;

use super::{Book, RunError, Runner};
use crate::nodes::{DatabaseQuestion, Looks, Orders};
use crate::plan::Plan;
use crate::run::{Event, TagsLeft};

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Counted by the first node whose agent can, before a client looks at the
    /// registry; by each process anew, until none is lost.
    pub(super) async fn count_tags(&mut self, plan: &Plan) -> Result<(), RunError> {
        let is_due = plan.window.to.mode == Mode::Complete && self.state.direction.is_there();
        if !is_due || matches!(self.state.tags_left, Some(TagsLeft::Counted { unmapped: 0, .. })) {
            return Ok(());
        }
        let count = self.tags_left(plan).await;
        self.record(vec![Event::TagsCounted { count, at: self.clock.now() }]).await
    }

    async fn tags_left(&self, plan: &Plan) -> TagsLeft {
        let mut problem = "no node was asked".to_owned();
        for node in &plan.nodes {
            let question = DatabaseQuestion { sessions: false, counts: true };
            match self.nodes.look_at_database(&node.name, question).await {
                Ok(look) => match look.counts {
                    Some(counts) => {
                        let (visible, unmapped) = (counts.visible, counts.unmapped);
                        return TagsLeft::Counted { visible, unmapped, names: look.unmapped_names };
                    }
                    None => problem = format!("{}: its agent brought no count", node.name),
                },
                Err(error) => problem = format!("{}: {}", node.name, error.reason()),
            }
        }
        TagsLeft::Unknown { problem }
    }
}
