//! Instances that are left out, and how they come back.

use super::*;

/// Whether those that are connected to anew answer nothing.
fn have_dead(instances: &Instances<Places>, number: u8, is_dead: bool) {
    instance(instances, number).connections.is_dead.store(is_dead, Ordering::Relaxed);
}

fn dialled(instances: &Instances<Places>, number: u8) -> usize {
    instance(instances, number).connections.dialled.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_dead_is_connected_to_in_the_background_once_in_each_pause_and_costs_no_request()
{
    let registry = Registry::default();
    let _registered = [1, 2, 3].map(|last| register(&registry, last));
    let instances = instances(&registry);
    refuse(&instances, &mut instances.search(&Watch::default()), 1);
    open(&instances, 2);
    [1, 2].iter().for_each(|number| have_dead(&instances, *number, true));
    assert_eq!(spread(&instances, 20).await, [0, 0, 0, 20]);
    for pauses in 1..4 {
        tokio::time::advance(Away::PAUSE).await;
        assert_eq!(spread(&instances, 20).await, [0, 0, 0, 20]);
        assert_eq!([1, 2].map(|number| dialled(&instances, number)), [pauses; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_connected_to_again_is_tried_by_one_request_and_used() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    refuse(&instances, &mut instances.search(&Watch::default()), 1);
    tokio::time::advance(Away::PAUSE).await;
    assert_eq!(
        answered(&instances, Duration::ZERO, Verdict::Success).await,
        2,
        "it is connected to meanwhile"
    );
    let mut back = instances.search(&Watch::default()).next().unwrap();
    assert_eq!(last(back.instance.addr), 1);
    back.connected();
    back.answered(Verdict::Success);
    let [_, first, ..] = spread(&instances, 100).await;
    assert!(first > 30, "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_failed_once_is_spared_the_trial_of_another_instance() {
    let registry = Registry::default();
    let _registered = [1, 2, 3].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    tokio::time::advance(Away::PAUSE).await;
    assert_ne!(answered(&instances, Duration::ZERO, Verdict::Success).await, 1);
    let mut search = instances.search(&Watch::default());
    search.elsewhere(instance(&instances, 2).addr);
    assert_eq!(last(search.next().unwrap().instance.addr), 3);
    assert_eq!(answered(&instances, Duration::ZERO, Verdict::Success).await, 1, "the next one has it");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_nobody_else_connects_by_itself() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    refuse(&instances, &mut instances.search(&Watch::default()), 2);
    tokio::time::advance(Away::PAUSE).await;
    assert!(instances.search(&Watch::default()).next().is_ok());
    assert_eq!([1, 2].map(|number| dialled(&instances, number)), [0; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_process_has_begun_anew_is_warmed_up() {
    for (kind, is_warmed_up) in
        [(std::io::ErrorKind::ConnectionRefused, true), (std::io::ErrorKind::HostUnreachable, false)]
    {
        let registry = Registry::default();
        let _registered = [1, 2].map(|last| register(&registry, last));
        let instances = instances(&registry);
        let mut search = instances.search(&Watch::default());
        let sending = search.enter(&instance(&instances, 1)).unwrap();
        search.unreached(sending, Arc::new(ConnectError::Dial(kind.into())));
        let mut back = search.enter(&instance(&instances, 1)).unwrap();
        back.connected();
        back.answered(Verdict::Success);
        let search = instances.search(&Watch::default());
        let under_way: Vec<_> = (0..110).map(|_| search.next().unwrap()).collect();
        let share = under_way.iter().filter(|sending| last(sending.instance.addr) == 1).count();
        assert_eq!(share, if is_warmed_up { 10 } else { 55 }, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_refuse_each_is_tried_once_and_the_last_reason_is_told() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    for _ in 0..2 {
        let mut search = instances.search(&Watch::default());
        let mut tried = Vec::new();
        while let Ok(sending) = search.next() {
            tried.push(last(sending.instance.addr));
            search.unreached(sending, Arc::new(ConnectError::Slow(Duration::ZERO)));
        }
        tried.sort_unstable();
        assert_eq!(tried, [1, 2]);
        assert!(matches!(search.next(), Err(SendError::Unreached { service, .. }) if service == SHOP));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_turn_to_connect_does_not_come_is_passed_over_once_and_not_left_out() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let sending = search.next().unwrap();
    let busy = last(sending.instance.addr);
    search.unreached(sending, Arc::new(ConnectError::Busy));
    assert_ne!(last(search.next().unwrap().instance.addr), busy);
    let counts = spread(&instances, 100).await;
    assert!(counts[usize::from(busy)] > 30, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_the_breaker_is_open_but_one_request_after_each_pause() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    assert_eq!(
        instance(&instances, 1).connections.forgotten.load(Ordering::Relaxed),
        1,
        "they may lead nowhere"
    );
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0]);
    for _ in 0..3 {
        tokio::time::advance(BreakerConfig::default().pause).await;
        let search = instances.search(&Watch::default());
        let sent: Vec<_> = (0..20).map(|_| search.next().unwrap()).collect();
        let (trial, others): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|sending| last(sending.instance.addr) == 1);
        assert_eq!((trial.len(), others.len()), (1, 19));
        trial.into_iter().for_each(Sending::failed);
    }
    tokio::time::advance(BreakerConfig::default().pause).await;
    assert_eq!(answered(&instances, Duration::ZERO, Verdict::Success).await, 2);
    assert_eq!(answered(&instances, Duration::ZERO, Verdict::Success).await, 1);
    let [_, first, ..] = spread(&instances, 100).await;
    assert!(first > 30, "it is used as before: {first}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_refuses_its_trial_is_sent_one_request_in_each_pause() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    for _ in 0..3 {
        tokio::time::advance(BreakerConfig::default().pause).await;
        let mut sent = [0; 3];
        for _ in 0..50 {
            let sending = instances.search(&Watch::default()).next().unwrap();
            let number = last(sending.instance.addr);
            sent[usize::from(number)] += 1;
            sending.answered(if number == 1 { Verdict::Nothing } else { Verdict::Success });
        }
        assert_eq!(sent, [0, 1, 49]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_every_breaker_is_open_nothing_is_sent_and_it_is_told_until_when() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    tokio::time::advance(Duration::from_millis(300)).await;
    open(&instances, 2);
    let Err(SendError::Open { source, .. }) = instances.search(&Watch::default()).next() else {
        panic!("it is sent")
    };
    assert_eq!(source.retry_after, Duration::from_millis(700));
}

#[tokio::test(start_paused = true)]
async fn what_failed_at_one_instance_goes_to_another_and_only_then_to_the_same() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let first = search.next().unwrap().instance.addr;
    assert!(search.elsewhere(first));
    let second = search.next().unwrap().instance.addr;
    assert_ne!(first, second);
    assert!(!search.elsewhere(second), "whoever comes back waits as long as it was told to");
    assert!(search.next().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_failed_goes_to_an_instance_that_there_is_then() {
    let registry = Registry::default();
    let mut registered = vec![register(&registry, 1), register(&registry, 2)];
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let first = search.next().unwrap().instance.addr;
    drop(registered.swap_remove(usize::from(2 - last(first))));
    let _third = register(&registry, 3);
    search.elsewhere(first);
    assert_eq!(last(search.next().unwrap().instance.addr), 3, "the other has gone meanwhile");
}

#[tokio::test(start_paused = true)]
async fn what_did_not_reach_an_instance_goes_to_those_that_there_are_then() {
    let registry = Registry::default();
    let registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let sending = search.next().unwrap();
    drop(registered);
    let _third = register(&registry, 3);
    search.unreached(sending, Arc::new(ConnectError::Slow(Duration::ZERO)));
    assert_eq!(last(search.next().unwrap().instance.addr), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_nobody_changes_nobodys_breaker() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    open(&instances, 2);
    let search = instances.search(&Watch::default());
    tokio::time::advance(BreakerConfig::default().pause).await;
    assert!(matches!(search.nobody(), SendError::Open { .. }));
    let due = instances.status().into_iter().map(|status| status.breaker);
    assert_eq!(due.collect::<Vec<_>>(), [State::HalfOpen; 2]);
    assert!(search.enter(&instance(&instances, 1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_full_instance_is_waited_for_before_one_that_does_not_let_us_in_is_tried() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let place = |places: &Places| (places.left.load(Ordering::Relaxed) > 0).then_some(());
    let found = || match instances.search(&Watch::default()).next_with(place) {
        Ok((sending, ())) => Ok(last(sending.instance.addr)),
        Err(Nowhere::Full(full)) => Err(full.iter().map(|instance| last(instance.addr)).collect::<Vec<_>>()),
        Err(Nowhere::Error(error)) => panic!("{error}"),
    };
    let have = |number, left| instance(&instances, number).connections.left.store(left, Ordering::Relaxed);
    have(1, 0);
    have(2, 0);
    let mut full = found().unwrap_err();
    full.sort_unstable();
    assert_eq!(full, [1, 2]);

    have(2, 1);
    assert_eq!((found(), found()), (Ok(2), Ok(2)));
    instance(&instances, 2).away.begin(Reason::Unreached);
    assert_eq!(found(), Err(vec![1]));
    instance(&instances, 1).away.begin(Reason::Unreached);
    assert_eq!(found(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_let_in_does_not_go_out_when_the_breaker_has_opened_meanwhile() {
    let registry = Registry::default();
    let _registered = register(&registry, 1);
    let instances = instances(&registry);
    let search = instances.search(&Watch::default());
    let connecting = search.next().unwrap();
    assert!(connecting.may_go());
    open(&instances, 1);
    assert!(!connecting.may_go());
    tokio::time::advance(BreakerConfig::default().pause).await;
    let trial = search.next().unwrap();
    assert!(trial.may_go() && !connecting.may_go());
}
