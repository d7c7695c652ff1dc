//! Who may act, and what a claim finds.

use quaymaster_proto::lease::LedgerEnd;
use quaymaster_proto::lease::ReleaseLease;

use super::*;

fn release(rig: &Rig, epoch: u64) -> ReleaseLease {
    let Act { cluster, run, epoch, .. } = rig.act(epoch, 1);
    ReleaseLease { cluster, run, epoch }
}

#[tokio::test]
async fn nobody_acts_without_the_lease_and_everybody_is_told_who_has_it() {
    let rig = Rig::new().await;
    let perform = async |epoch, step| {
        let act = rig.act(epoch, step);
        rig.worker.perform("tester".to_owned(), act, rig.stop().order(), |_, _| ()).await
    };
    refused(perform(1, 1).await, Reason::Lease, "nobody does");
    rig.claim(2).await.unwrap();
    refused(perform(1, 1).await, Reason::Lease, "operator 2");
    refused(perform(3, 1).await, Reason::Lease, "since 20");
    assert!(rig.engine().state().done.is_empty());
    let facts = rig.worker.node.describe(None).await.unwrap();
    assert_eq!(facts.lease.map(|lease| lease.holder).as_deref(), Some("operator 2"));
    perform(2, 1).await.unwrap();
    rig.claim(3).await.unwrap();
    refused(perform(2, 2).await, Reason::Lease, "epoch 3 of run");
    perform(3, 1).await.unwrap();
    let (told, released) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let told = told.clone();
        let tell = move |run| told.send(run).unwrap();
        rig.worker.release("tester".to_owned(), release(&rig, 3), tell).await.unwrap();
        assert_eq!(released.try_recv().unwrap(), rig.act(3, 1).run);
    }
    refused(perform(3, 2).await, Reason::Lease, "the last was epoch 3");
    let over = rig.worker.release("tester".to_owned(), release(&rig, 2), |_| panic!("refused"));
    let over = over.await.unwrap_err();
    assert_eq!(over.reason, Reason::Lease);
}

#[tokio::test]
async fn a_lost_ledger_lets_nobody_act_until_somebody_claims() {
    let rig = Rig::new().await;
    rig.at(1, 1, rig.stage()).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    *rig.worker.node.ledger() = LedgerSlot::open(elsewhere.path());
    let act = rig.act(1, 2);
    let result = rig.worker.perform("tester".to_owned(), act, rig.stop().order(), |_, _| ()).await;
    refused(result, Reason::Lease, "no lease ever");
}

#[tokio::test]
async fn a_claim_waits_for_the_act_in_flight_and_says_how_it_ended() {
    let rig = Rig::new().await;
    rig.claim(1).await.unwrap();
    let held = rig.worker.desk.baton.lock().await;
    let mut claim = std::pin::pin!(rig.claim(2));
    tokio::select! {
        _ = &mut claim => panic!("the act in flight has not settled"),
        () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
    }
    // What the act at the desk puts on record.
    let (act, work) = (rig.act(1, 4), Work::Act(rig.stop().order()));
    rig.worker.node.admit(&act, &work).unwrap();
    rig.worker.node.record(&act, &work, Event::Intended).unwrap();
    drop(held);
    let claimed = claim.await.unwrap();
    assert_eq!(claimed.ledger.unwrap().step, StepNumber::new(4).unwrap());
    assert_eq!(claimed.last.unwrap().end, None, "begun, and its end is not on record");
    refused(rig.at(1, 4, rig.stop()).await, Reason::Lease, "operator 2");
    rig.at(2, 4, rig.stop()).await.unwrap();
    let again = rig.claim(3).await.unwrap();
    assert!(matches!(again.last.unwrap().end, Some(LedgerEnd::Met(_))));
}

#[tokio::test]
async fn the_lease_is_asked_again_right_before_a_change() {
    let rig = Rig::new().await;
    rig.claim(1).await.unwrap();
    let (act, work) = (rig.act(1, 1), Work::Act(rig.stop().order()));
    let admission = rig.worker.node.admit(&act, &work).unwrap();
    let mut turn = Turn { node: &rig.worker.node, act: &act, work: &work, admission };
    // Past the desk, as no claim can.
    rig.worker.node.claim(&rig.claiming(2)).unwrap();
    refused(turn.take().await, Reason::Lease, "operator 2");
    assert!(rig.engine().state().done.is_empty());
}

#[tokio::test]
async fn the_plan_stays_with_the_agent_and_is_read_with_the_run() {
    let rig = Rig::new().await;
    let read = |run| rig.worker.node.read_ledger(run);
    assert_eq!(read(None).unwrap_err().reason, Reason::Invalid);
    let mut claim = rig.claiming(1);
    claim.plan_bytes = vec![b' '; crate::plans::LONGEST + 1];
    let refusal = rig.worker.node.claim(&claim).unwrap_err();
    assert!(refusal.message.contains("4194305 bytes"), "{refusal}");
    assert_eq!(rig.worker.node.lease(), None);
    claim.plan_bytes = b"{\"a\": 1}\n".to_vec();
    rig.worker.node.claim(&claim).unwrap();
    rig.at(1, 1, rig.stage()).await.unwrap();
    let told = read(None).unwrap();
    assert_eq!((told.plan_bytes, told.epoch), (claim.plan_bytes, claim.epoch));
    assert_eq!(told.entries.len(), 1);
    let mut foreign = rig.claiming(2);
    foreign.cluster = "test".parse().unwrap();
    assert_eq!(rig.worker.node.claim(&foreign).unwrap_err().reason, Reason::WrongCluster);
    foreign = rig.claiming(2);
    foreign.holder = "two\nlines".to_owned();
    assert_eq!(rig.worker.node.claim(&foreign).unwrap_err().reason, Reason::Invalid);
}

#[tokio::test]
async fn a_claim_whose_caller_hung_up_while_it_waited_is_never_granted() {
    let rig = Rig::new().await;
    rig.claim(1).await.unwrap();
    let held = rig.worker.desk.baton.lock().await;
    tokio::select! {
        _ = rig.claim(2) => panic!("the act in flight has not settled"),
        () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
    }
    drop(held);
    // Whatever still waits for the desk comes before this.
    rig.worker.drain().await;
    let wait =
        async { until(|| rig.worker.node.lease().is_some_and(|l| l.epoch.get() == 2)).await };
    tokio::select! {
        () = wait => panic!("nobody waits for this lease"),
        () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
    }
    assert_eq!(rig.worker.node.lease().unwrap().epoch.get(), 1);
}
