//! Hostile peers attack real victims over the wire; each test prints what became of the attacker (H1, H2, H3, H6, H8, H11, R35, R41).
//!
//! What is tried is in `src/trials/`; a test's name is the trial's.

use rillcast_tests::trials;

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let trial = trials::ALL.iter().find(|trial| trial.name == stringify!($name)).unwrap();
            let fate = (trial.run)().await.unwrap();
            println!("{}: {fate}", trial.attack);
        })*

        #[test]
        fn every_trial_is_a_test() {
            assert_eq!(trials::ALL.iter().map(|trial| trial.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

tests! {
    an_altered_block
    a_truncated_block
    an_endless_block
    an_altered_digest
    a_digest_of_another_segment
    a_digest_of_another_stream
    false_haves
    a_stalling_uploader
    false_claims
    a_flood_of_requests
    a_stolen_ticket
    an_expired_ticket
    a_ticket_of_the_dash_swarm
    a_forged_ticket
    a_false_ticket_while_signaling_is_dead
    a_ground_id
    a_call_in_an_honest_peers_name
    a_made_up_acquaintance
    a_token_from_another_origin
    message_bombs
    a_thousand_ids_from_one_address
    an_eclipse
    a_crawler
}
