//! Small worlds, each to show that one thing of the model does what its table says.

use rillcast_core::protocol::id::Role;

use super::node::Conduct;
use super::*;
use crate::draw::Law;
use crate::facts::Lies;
use crate::scenario::tables::*;

/// Thirty viewers for a minute, with uplinks that suffice.
fn small() -> Scenario {
    let mut scenario = Scenario::load("single-bitrate").expect("ships");
    scenario.viewers.peers = 30;
    scenario.viewers.come_within_seconds = 5.0;
    scenario.viewers.session_seconds = Law::Fixed { value: 1000.0 };
    scenario.links.up_kbps = Law::Fixed { value: 3000.0 };
    scenario.links.up_over_demand = None;
    scenario.site.ratio = 50.0;
    scenario.minutes = 1.0;
    scenario
}

fn run(scenario: &Scenario) -> World {
    run_seed(scenario, 1)
}

fn run_seed(scenario: &Scenario, seed: u64) -> World {
    scenario.check().expect("a scenario that makes sense");
    let mut world = World::new(scenario, seed);
    world.run(|_, _| ());
    world
}

fn given(world: &World) -> u64 {
    world.nodes.iter().filter(|n| n.role == Role::Viewer).map(|n| n.uploaded).sum()
}

fn stalls(world: &World) -> u32 {
    world.nodes.iter().map(|n| n.player.stalls).sum()
}

#[test]
fn blocks_come_through_peers_and_each_is_a_hop() {
    let world = run(&small());
    let depths = &world.ledger.depths;
    assert!(given(&world) > 0 && depths.len() > 2, "{depths:?}");
    let through_peers: u64 = depths.iter().skip(1).sum();
    assert!(through_peers > 0 && through_peers <= given(&world), "{depths:?}");
    assert_eq!(world.ledger.lies, Lies::default());
}

#[test]
fn the_same_visits_come_whatever_happens_to_them() {
    let mut other = small();
    other.paths.udp_blocked = 1.0;
    other.conduct.silent = 0.5;
    let key = |n: &Node| (n.player.joined, n.up.to_bits(), n.down.to_bits(), n.isp, n.left);
    let (a, b) = (run(&small()), run(&other));
    assert!(a.nodes.iter().map(key).eq(b.nodes.iter().map(key)));
    assert_ne!(given(&a), given(&b));
}

#[test]
fn viewers_with_blocked_udp_link_with_nobody() {
    let mut scenario = small();
    scenario.paths.udp_blocked = 1.0;
    let world = run(&scenario);
    assert_eq!((world.ledger.links.0, given(&world)), (0, 0));
    assert!(world.ledger.links.1 > 0, "they try and give up");
}

#[test]
fn during_an_outage_nobody_joins_and_nothing_is_published_and_afterwards_all_come_back() {
    let mut scenario = small();
    scenario.outage = Some(Outage { from_minute: 0.0, to_minute: 5.0, back_within_seconds: 0.0 });
    let world = run(&scenario);
    assert_eq!((world.ledger.links.0, world.ledger.publishers.0), (0, 0));
    assert_eq!(stalls(&world), 0, "the source serves");
    scenario.outage = Some(Outage { from_minute: 0.0, to_minute: 0.3, back_within_seconds: 2.0 });
    let world = run(&scenario);
    assert!(world.ledger.links.0 > 30 && given(&world) > 0);
}

#[test]
fn open_links_go_on_through_an_outage() {
    let mut scenario = small();
    scenario.seeds = Some(Seeds { count: 1, up_kbps: 5000.0, down_kbps: 1e6 });
    scenario.outage = Some(Outage { from_minute: 0.5, to_minute: 5.0, back_within_seconds: 0.0 });
    let world = run(&scenario);
    let in_outage: u64 = world.ledger.peers_per_second[40..58].iter().sum();
    assert!(in_outage > 0, "{:?}", world.ledger.peers_per_second);
}

#[test]
fn a_partition_ends_the_links_across_it() {
    let mut scenario = small();
    scenario.partition = Some(Partition { from_minute: 0.5, to_minute: 5.0, share: 0.5 });
    let mut world = World::new(&scenario, 1);
    world.end = Instant::ZERO + BEFORE + Duration::from_secs(29);
    let across = |world: &World| {
        let mut away = World::new(&scenario, 1);
        away.partition = true;
        let all = world.nodes.iter().enumerate();
        all.flat_map(|(n, node)| node.links.iter().map(move |w| (n as u32, w.other)))
            .filter(|(a, b)| away.is_cut(*a, *b))
            .count()
    };
    while let Some((when, event)) = world.queue.pop(world.end) {
        world.now = when.max(world.now);
        world.step(event);
    }
    assert!(across(&world) > 0);
    world.end += Duration::from_secs(20);
    while let Some((when, event)) = world.queue.pop(world.end) {
        world.now = when.max(world.now);
        world.step(event);
    }
    assert_eq!(across(&world), 0);
    assert!(world.nodes.iter().any(|n| n.links.iter().count() > 0), "the others stay");
}

#[test]
fn isps_are_as_large_as_told_and_the_way_between_them_longer() {
    let mut scenario = small();
    scenario.viewers.peers = 400;
    scenario.isps = Some(Isps { count: 2, zipf: None, shares: Some(vec![3.0, 1.0]), between_ms: 50.0 });
    let world = World::new(&scenario, 1);
    let first = world.nodes.iter().filter(|n| n.isp == 0).count();
    assert!((270..330).contains(&first), "{first} of 400");
    scenario.isps = None;
    let without = World::new(&scenario, 1);
    for (a, b) in (1..400u32).map(|a| (a, a / 2)) {
        let same = world.nodes[a as usize].isp == world.nodes[b as usize].isp;
        let extra = world.delay(a, b) - without.delay(a, b);
        assert_eq!(extra, Duration::from_millis(if same { 0 } else { 50 }));
    }
}

#[test]
fn bytes_between_viewers_are_within_an_isp_or_across() {
    let mut scenario = small();
    scenario.isps = Some(Isps { count: 3, zipf: Some(1.0), shares: None, between_ms: 5.0 });
    let world = run(&scenario);
    let (within, across) = world.ledger.isp_bytes;
    assert!(within > 0 && across > 0 && within + across <= given(&world));
}

#[test]
fn all_that_enters_an_office_goes_over_its_line() {
    let mut scenario = small();
    let wan_kbps = Law::Fixed { value: 20_000.0 };
    scenario.sites = Some(Sites { count: 2, share: 1.0, wan_kbps, lan_kbps: 100_000.0 });
    let world = run(&scenario);
    let came: u64 = world.ledger.wan_in.values().sum();
    let source: u64 = world.ledger.source.values().map(|s| s.0).sum();
    let left: u64 = world.ledger.wan_out.values().sum();
    assert!(given(&world) > left, "some is given within");
    assert!(came + world.ledger.publishers.0 >= source, "{came} of {source}");
    assert!(came <= source + left, "{came}, {source}, {left}");
    let demand: u64 = world.ledger.demand.values().map(|d| d.size * d.viewers).sum();
    assert!(came < demand);
}

// R26: where all are colleagues, nobody else would have any use of the publisher's copy.
#[test]
fn an_office_that_is_the_whole_swarm_takes_the_publishers_copy() {
    let mut scenario = small();
    scenario.sites =
        Some(Sites { count: 1, share: 1.0, wan_kbps: Law::Fixed { value: 50_000.0 }, lan_kbps: 1e6 });
    let world = run(&scenario);
    let sum = |of: fn(&Node) -> u64| world.nodes.iter().map(of).sum::<u64>();
    let (hosted, elected) = (sum(|n| n.taken.publisher), sum(|n| n.taken.election));
    assert!(hosted > elected * 2, "{hosted} bytes of the publisher's, {elected} elected");
}

#[test]
fn a_thin_line_is_never_overrun() {
    let mut scenario = small();
    let wan_kbps = Law::Fixed { value: 4000.0 };
    scenario.sites = Some(Sites { count: 1, share: 1.0, wan_kbps, lan_kbps: 100_000.0 });
    let world = run(&scenario);
    let came: u64 = world.ledger.wan_in.values().sum();
    assert!(came as f64 * 8.0 * wires::HEADERS <= 4e6 * 66.0, "{came} bytes in a minute");
}

#[test]
fn free_riders_silent_ones_and_polluters_do_as_they_are_called() {
    let by = |world: &World, conduct| -> u64 {
        world.nodes.iter().filter(|n| n.conduct == conduct).map(|n| n.uploaded).sum()
    };
    let mut scenario = small();
    scenario.conduct = tables_conduct(0.3, 0.3, 0.0);
    let world = run(&scenario);
    assert_eq!((by(&world, Conduct::FreeRider), by(&world, Conduct::Silent)), (0, 0));
    assert!(by(&world, Conduct::Honest) > 0);
    scenario.conduct = tables_conduct(0.0, 0.0, 0.3);
    let world = run(&scenario);
    let lies = world.ledger.lies;
    assert!(lies.bytes > 0, "somebody was sent wrong bytes");
    // H2 H11: each false block ends the link that it came over, and goes no further; nobody else's link ends for it.
    assert_eq!((lies.cut, lies.framed, lies.played_bytes, lies.relayed_bytes), (lies.blocks, 0, 0, 0));
    // H2: most of those whom the server has introduced to them say so.
    let sent_away = |conduct| world.nodes.iter().filter(|n| n.conduct == conduct && n.sent_away).count();
    assert!(sent_away(Conduct::Polluter) > 0 && sent_away(Conduct::Honest) == 0);
}

// H4: the server introduces nobody to many; neighbours are asked as well, and tell more.
#[test]
fn crawlers_learn_from_the_server_what_it_grants_and_the_rest_from_neighbours() {
    let mut scenario = small();
    scenario.viewers.peers = 150;
    scenario.minutes = 2.0;
    scenario.crawlers = Some(Crawlers { count: 1, at_minute: 0.5 });
    let granted = (server::INTRODUCE + server::BURST as usize) as f64 + server::PER_MINUTE * 1.5;
    let crawled = |switches| {
        let mut world = World::new(&scenario, 1).arranged(Arrangement::Hybrid, switches);
        world.run(|_, _| ());
        world.crawled().expect("there are crawlers")
    };
    let by_server = crawled(Switches::default().without(rillcast_core::switches::Mechanism::Gossip));
    // Newcomers may be introduced to it as well.
    assert!(by_server.learned as f64 <= granted * 1.3, "{by_server:?}, {granted} granted");
    let all = crawled(Switches::default());
    assert!(all.learned > by_server.learned && all.linked > 0 && all.shown >= all.linked, "{all:?}");
}

fn tables_conduct(free_riders: f64, silent: f64, polluters: f64) -> crate::scenario::tables::Conduct {
    crate::scenario::tables::Conduct { free_riders, silent, polluters }
}

#[test]
fn seeds_publish_what_is_watched_and_give_it() {
    let mut scenario = small();
    scenario.seeds = Some(Seeds { count: 2, up_kbps: 20_000.0, down_kbps: 1e6 });
    let world = run(&scenario);
    let gave: u64 = world.nodes.iter().filter(|n| n.role == Role::Seed).map(|n| n.uploaded).sum();
    assert!(gave > 0);
    let copies = world.ledger.publishers.1 / u64::from(world.media.len(world.media.key(0, 20)));
    assert!((20..=40).contains(&copies), "{copies} copies to two seeds in fifteen segments' time");
}

#[test]
fn busy_pages_get_little_twice() {
    let world = run(&Scenario::load("busy-pages").expect("ships"));
    let sum = |of: fn(&Node) -> u64| world.nodes.iter().map(of).sum::<u64>();
    let (peers, wasted) = (sum(|n| n.taken.peers), sum(|n| n.taken.wasted));
    let source = sum(|n| n.taken.rescue + n.taken.election);
    assert!(wasted * 100 < peers * 5, "{wasted} bytes in vain beside {peers}");
    assert!(source * 4 < peers, "{source} bytes from the source, {peers} from viewers");
    assert_eq!(stalls(&world), 0);
}

fn alone(scenario: &Scenario) -> World {
    let mut world = World::new(scenario, 1).arranged(Arrangement::Alone, Switches::default());
    world.run(|_, _| ());
    world
}

// R29: where everybody comes at once the source can't even bring first segments; neighbours can.
#[test]
fn a_crowd_that_the_source_cannot_carry_starts_and_plays() {
    let mut scenario = Scenario::load("flash-crowd").expect("ships");
    scenario.minutes = 2.5;
    scenario.viewers.peers = 5;
    scenario.viewers.session_seconds = Law::Fixed { value: 1000.0 };
    scenario.crowd.as_mut().expect("there is one").peers = 150;
    scenario.source.total_mbps = Some(25.0);
    let started = |world: &World| world.nodes.iter().filter(|n| n.player.started.is_some()).count();
    let without = alone(&scenario);
    assert!(started(&without) < 80, "{} of 155 start alone: the crowd is too small", started(&without));
    // Of a single crowd 0 to 11 % stall, as chance will have it; of many 3 %. A third does where a newcomer's neighbours are asked too late.
    let mut stalled = 0;
    for seed in 1..4 {
        let with = run_seed(&scenario, seed);
        assert!(started(&with) >= 153, "{} of 155 started", started(&with));
        stalled += with.nodes.iter().filter(|n| n.player.stalls > 0).count();
    }
    assert!(stalled <= 32, "{stalled} of 465 stalled");
}

// R25: seeds could fill a thin downlink before the first picture is there. They are asked for the end of it where the source brings it slowly,
// and some of that comes twice.
#[test]
fn seeds_keep_nobody_waiting_for_the_first_picture() {
    let mut scenario = small();
    scenario.viewers.come_within_seconds = 20.0;
    scenario.links.down_kbps = Law::Fixed { value: 1500.0 };
    scenario.seeds = Some(Seeds { count: 2, up_kbps: 50_000.0, down_kbps: 1e6 });
    let slowest = |world: &World| {
        world.nodes.iter().filter_map(|n| n.player.start_ms()).max_by(f64::total_cmp).expect("somebody")
    };
    let (with, without) = (slowest(&run(&scenario)), slowest(&alone(&scenario)));
    // 7 s where seeds are asked for all of the next segments before the first picture.
    assert!(with < without * 1.6, "{with} ms beside seeds, {without} ms alone");
}

#[test]
fn loss_holds_an_association_to_what_its_law_says() {
    // 0.5 % of the packets at a round trip of 50 ms are 0.4 MB/s, as measured with several libraries.
    let rate = wires::association_rate(Duration::from_millis(25), 0.068);
    assert!((380_000.0..450_000.0).contains(&rate), "{rate} bytes/s");
    let mut scenario = small();
    scenario.paths.loss = 0.05;
    let world = run(&scenario);
    assert!(given(&world) > 0, "peers are of use all the same");
}

#[test]
fn a_film_ends_and_its_viewers_leave() {
    let mut scenario = small();
    scenario.stream.film_minutes = Some(0.5);
    let world = run(&scenario);
    for node in &world.nodes {
        // Seven segments.
        assert!((27_990.0..28_010.0).contains(&node.player.played_ms), "{}", node.player.played_ms);
        assert!(node.left < Some(world.end));
    }
}

#[test]
fn who_seeks_plays_on_elsewhere() {
    let mut scenario = small();
    scenario.stream.film_minutes = Some(20.0);
    scenario.seeks = Some(Seeks { share: 0.5, after_seconds: Law::Fixed { value: 20.0 } });
    let world = run(&scenario);
    let jumped = world.nodes.iter().filter(|n| n.player.seeks > 0);
    assert!((8..=22).contains(&jumped.clone().count()), "{}", jumped.count());
    assert!(jumped.clone().all(|n| n.player.seeks == 2 && n.player.played_ms > 40_000.0));
}

#[test]
fn parts_are_played_a_few_seconds_behind_the_edge() {
    let mut scenario = small();
    scenario.stream.parts = 4;
    let world = run(&scenario);
    for node in &world.nodes {
        let latency = node.player.latency_s().expect("it played");
        assert!((3.0..5.5).contains(&latency), "{latency} s");
    }
    assert!(world.ledger.demand.keys().all(|key| (1..=4).contains(&key.part)));
}

#[test]
fn separate_audio_is_asked_for_beside_the_video() {
    let mut scenario = small();
    scenario.stream.audio_kbps = Some(96.0);
    let world = run(&scenario);
    let audio = |key: &&SegmentKey| Media::level(key.track) == crate::media::AUDIO;
    let (all, sound) = (world.ledger.demand.len(), world.ledger.demand.keys().filter(audio).count());
    assert_eq!(all, sound * 2);
    assert_eq!(stalls(&world), 0);
}

#[test]
fn a_source_that_serves_few_makes_many_wait() {
    let mut scenario = small();
    scenario.paths.udp_blocked = 1.0;
    scenario.source.total_mbps = Some(0.7 * 10.0);
    let world = run(&scenario);
    let rate = *world.ledger.per_second.iter().max().expect("seconds") as f64 * 8.0;
    assert!(stalls(&world) > 0);
    // Steps are counted when they end: all may end in the same second.
    assert!(rate < 7e6 + 60.0 * 64.0 * 1024.0 * 8.0, "{rate}");
    let sum = world.ledger.per_second.iter().sum::<u64>() - world.ledger.publishers.0;
    assert!(sum as f64 * 8.0 <= 7e6 * 60.0, "{sum}");
}

#[test]
fn a_tcp_upload_alone_fills_its_uplink() {
    for flow in [Tcp::NewReno, Tcp::Cubic] {
        let mut scenario = small();
        scenario.viewers.peers = 1;
        let (up_kbps, queue_ms, rtt_ms) = (10_000.0, 100.0, 40.0);
        let (from_minute, to_minute) = (0.0, 1.0);
        scenario.background = Some(Background {
            viewers: 1,
            flow,
            up_kbps,
            queue_ms,
            rtt_ms,
            yields: false,
            from_minute,
            to_minute,
        });
        let world = run(&scenario);
        let seconds = &world.ledger.shared_uplinks[0];
        let tcp: u64 = seconds[5..55].iter().map(|s| s.tcp).sum();
        let used = tcp as f64 * 8.0 / 50.0 / 10e6;
        assert!((0.95..1.01).contains(&used), "{flow:?}: {used}");
    }
}

#[test]
fn two_flows_through_one_queue_share_it() {
    let mut scenario = small();
    scenario.stream.ladder_kbps = vec![3000.0];
    scenario.links.up_kbps = Law::Fixed { value: 1000.0 };
    scenario.links.down_kbps = Law::Fixed { value: 50_000.0 };
    scenario.background = Some(Background {
        viewers: 1,
        flow: Tcp::NewReno,
        up_kbps: 10_000.0,
        queue_ms: 100.0,
        rtt_ms: 40.0,
        yields: false,
        from_minute: 0.5,
        to_minute: 1.0,
    });
    let world = run(&scenario);
    let seconds = &world.ledger.shared_uplinks[0];
    let alone: u64 = seconds[20..30].iter().map(|s| s.ours).sum();
    let beside: (u64, u64) = seconds[40..58].iter().fold((0, 0), |(t, o), s| (t + s.tcp, o + s.ours));
    assert!(alone > 1_000_000, "{alone} bytes in ten seconds alone");
    assert!(beside.0 > 0 && beside.1 > 0, "{beside:?}");
    assert!((beside.0 + beside.1) as f64 * 8.0 / 18.0 < 10.1e6, "{beside:?}");
}
