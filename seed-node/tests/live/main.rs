//! A node's links, its programs, and what viewers and players get of it, with real parts. One module per subject; one program, for each would
//! be linked with all of WebRTC.

mod a_browser_exchanges_20_mb_with_a_seed;
mod a_channel_plays_by_its_schedule;
mod a_check_says_what_would_go_wrong;
mod a_killed_seed_serves_from_its_disk;
mod a_link_leads_to_the_certificate_of_its_description;
mod a_peer_that_stops_reading_is_given_up;
mod a_publisher_alone_has_no_links;
mod a_seed_brings_a_live_stream_to_its_viewers;
mod a_seed_that_is_told_to_end_keeps_its_word;
mod an_agent_is_an_honest_proxy;
mod encoders_begin_anew_and_nodes_too;
mod encoders_push_and_viewers_read_it_back;
mod native_players_meet_other_packagings;
mod native_players_play_dash;
mod native_players_play_in_parts;
mod native_players_share_through_agents;
mod pushes_that_are_refused;
mod seeds_share_their_work;
mod strangers_cost_nothing;
mod support;
mod the_program_does_what_an_operator_expects;
mod twenty_native_peers_share_one_port;
