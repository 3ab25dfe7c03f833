//! What is refused, on both sides; each time nothing is changed.

use std::fs;

use identity::{
    enrolment::Request,
    nkey::{KeyKind, SecretKey},
};

use crate::{
    boxes::{Box, block, operator, pasted},
    harness::{Place, untouched::Snapshot},
};

/// Lets a box in and gives the answer.
fn approve(operator: &Place, request: &str) -> String {
    pasted(operator.command(&["enroll", "approve", "--yes", "-"]), request).expect(0)
}

/// The answer with one bit of its content flipped.
fn flipped(answer: &str) -> String {
    let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
    let middle = lines.len() / 2;
    let letter = if lines[middle].starts_with('A') { "B" } else { "A" };
    lines[middle].replace_range(..1, letter);
    lines.join("\n")
}

#[test]
fn an_answer_that_is_not_this_boxs_own_changes_nothing() {
    let (ours, theirs) = (operator(), operator());
    let [one, two] = ["box-1", "box-2"].map(|name| Box::new(name, None));
    let requests = [&one, &two].map(|one| one.run(&["request"]).expect(0));
    let answer = approve(&ours, &requests[0]);
    let for_two = approve(&ours, &requests[1]);
    let foreign = approve(&theirs, &requests[0]);
    let operators_key = |place: &Place| {
        let set = identity::JwtSet::read_dir(&place.path(".data/jwts")).unwrap();
        set.operator_claims().subject.clone()
    };
    let (our_key, their_key) = (operators_key(&ours), operators_key(&theirs));
    let cut: String = answer.lines().take(20).map(|line| format!("{line}\n")).collect();
    let missing: String = answer
        .lines()
        .enumerate()
        .filter(|(number, _)| *number != 7)
        .map(|(_, line)| format!("{line}\n"))
        .collect();

    let before = Snapshot::of(&one.place.path(".data"));
    let accept = |text: &str, more: &[&str]| one.paste(&[&["accept", "-"], more].concat(), text);
    accept("", &[]).says(1, &["there is no line `-----BEGIN LEAFBOX ENROLL ANSWER-----`"]);
    accept(&requests[0], &[]).says(1, &["it is a request", "`leafbox enroll approve` prints it"]);
    accept(&cut, &[]).says(1, &["cut off", "copy it again"]);
    accept(&missing, &[]).says(1, &["checksum", "a line is missing"]);
    accept(&flipped(&answer), &[]).says(1, &["checksum does not match", "copy it again"]);
    accept(&for_two, &[]).says(1, &["for the node box-2, and this is box-1"]);
    accept(&answer, &["--operator", &their_key]).says(1, &["--operator wants", &their_key, &our_key]);
    accept(&answer, &["--operator", "UABC"]).says(1, &["starts with `O`"]);
    before.assert_still(&one.place.path(".data"));
    one.run(&["accept", "nowhere"]).says(1, &["cannot read the answer nowhere"]);

    // An image that obeys one operator takes no other's answer.
    ours.run(&["apply", "--export", one.place.path("image").to_str().unwrap()]).expect(0);
    one.place.write("node.toml", &format!("jwts = \"image\"\n{}", Box::settings("box-1", None)));
    accept(&foreign, &[]).says(1, &[&their_key, &our_key, "another fleet"]);
    accept(&foreign, &["--operator", &their_key]).says(1, &["this box obeys"]);
    before.assert_still(&one.place.path(".data"));

    let accepted = accept(&answer, &["--operator", &our_key]).expect(0);
    assert!(accepted.contains(&our_key), "{accepted}");
    // And once it obeys one, it goes on to, without the image.
    one.place.write("node.toml", &Box::settings("box-1", None));
    let before = Snapshot::of(&one.place.path(".data"));
    accept(&foreign, &[]).says(1, &["this box obeys"]);
    before.assert_still(&one.place.path(".data"));

    // A regression test: a box whose data was lost obeyed the first again.
    fs::remove_dir_all(one.place.path(".data/jwts")).unwrap();
    accept(&foreign, &[]).says(1, &["this box obeys", &our_key, "keys/enrolled"]);
    let marker = one.place.path(".data/keys/enrolled");
    let whole = fs::read(&marker).unwrap();
    fs::write(&marker, "{").unwrap();
    accept(&foreign, &[]).says(1, &["enrolled", "is damaged: delete it"]);
    fs::write(&marker, whole).unwrap();
    accept(&answer, &[]).expect(0);
}

#[test]
fn an_answer_to_other_keys_is_refused_with_both_fingerprints() {
    let operator = operator();
    let one = Box::new("box-1", None);
    one.paste(&["accept", "-"], "").says(1, &["has made no keys yet", "`leafbox enroll request` first"]);
    let first = one.run(&["request"]).expect(0);
    let answer = approve(&operator, &first);
    fs::remove_dir_all(one.place.path(".data/keys/signing")).unwrap();
    let second = one.run(&["request"]).expect(0);
    let [first, second] =
        [first, second].map(|text| Request::parse(&text).unwrap().fingerprint().to_string());
    one.paste(&["accept", "-"], &answer).says(1, &[&first, &second, "do not know this box's key"]);
    assert!(!one.place.path(".data/keys/enrolled").exists());
}

#[test]
fn a_request_that_the_fleet_does_not_know_is_refused_with_the_remedy() {
    let operator = operator();
    let one = Box::new("box-1", None);
    let printed = one.run(&["request"]).expect(0);
    let good = Request::parse(&printed).unwrap();
    let before = Snapshot::of(&operator.path(".data"));
    let approve = |text: &str| pasted(operator.command(&["enroll", "approve", "--yes", "-"]), text);
    let name = |text: &str| text.parse::<settings::Name>().unwrap();
    let key = || SecretKey::generate(KeyKind::Account).unwrap().public_key();

    approve("hello").says(1, &["there is no line `-----BEGIN LEAFBOX ENROLL REQUEST-----`"]);
    approve(&flipped(&block(&printed))).says(1, &["checksum"]);
    let unknown = Request { node: name("box-9"), ..good.clone() };
    approve(&unknown.armored()).says(2, &["does not know box-9", "`nodes.leaves`"]);
    let elsewhere = Request { fleet: name("shop"), ..good.clone() };
    approve(&elsewhere.armored()).says(2, &["of the fleet shop", "the keys of school"]);
    let as_hub = Request { role: settings::NodeRole::Hub, ..good.clone() };
    approve(&as_hub.armored()).says(2, &["asks to be a hub node", "lists it as a leaf"]);

    // A leaf that would push accounts, and one that would be somebody else.
    let mut pusher = good.clone();
    pusher.keys.get_mut("SYS").unwrap().insert(name("leafbox-push"), key());
    approve(&pusher.armored()).says(2, &["leafbox-push in SYS", "does not give a leaf"]);
    let mut older = good.clone();
    older.keys.remove("SCHOOL");
    approve(&older.armored()).says(2, &["offers no key for", "in SCHOOL", "older"]);
    let jwts = identity::JwtSet::read_dir(&operator.path(".data/jwts")).unwrap();
    let roles = &jwts.accounts["SCHOOL"].claims().nats.signing_keys;
    let of_fleet = roles.iter().find(|claim| claim.role() == "teacher-service").unwrap().key().to_owned();
    let mut thief = good.clone();
    thief.keys.get_mut("SCHOOL").unwrap().insert(name("leafbox-apply"), of_fleet);
    approve(&thief.armored()).says(1, &["is the one of the role teacher-service in SCHOOL already"]);
    before.assert_still(&operator.path(".data"));

    // Two boxes from one disk.
    approve(&printed).expect(0);
    let copied = Request { node: name("box-2"), ..good };
    approve(&copied.armored()).says(1, &["is the one of the node box-1 already", "copied"]);

    // A box is no operator, and an operator no box.
    one.place.run(&["enroll", "list"]).says(1, &["has no operator's keys"]);
    operator.run(&["enroll", "request", "--keys", ".data/keys"]).says(1, &["has the operator's keys"]);
    let stranger = Box::new("box-9", None);
    stranger.run(&["request"]).says(2, &["does not list box-9 in `nodes.leaves`"]);
    assert!(!stranger.place.path(".data").exists());
}
