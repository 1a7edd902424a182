//! `shipmate` as a user has it: arguments in, lines and exit codes out.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// A limit for what hangs.
const LONG: Duration = Duration::from_secs(60);

/// How a command ended, and what it said.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A server with its folder.
struct Server {
    _process: Child,
    folder: TempDir,
    tcp: String,
}

fn shipmate<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shipmate"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn end(child: Child) -> Ended {
    let output = timeout(LONG, child.wait_with_output()).await.expect("it hangs").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

async fn run(arguments: &[&str]) -> Ended {
    end(shipmate(arguments).spawn().unwrap()).await
}

/// Runs a command that must succeed without complaint, and gives what it prints.
async fn ok(arguments: &[&str]) -> String {
    let ended = run(arguments).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
    ended.out
}

/// Runs a command that must fail, and gives its complaint.
async fn fails(code: i32, arguments: &[&str]) -> String {
    let ended = run(arguments).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    ended.err
}

async fn next(lines: &mut Lines<impl tokio::io::AsyncBufRead + Unpin>) -> String {
    timeout(LONG, lines.next_line()).await.expect("no line comes").unwrap().expect("the output ended")
}

fn lines_of(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

fn interrupt(child: &Child) {
    signal(child, Signal::INT);
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().unwrap() as i32).unwrap(), signal).unwrap();
}

/// Whether it does more than wait for its new parent, which may never ask for it.
fn runs(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

impl Server {
    async fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let at = |place: &str, service: &str| format!("--listen=unix:{}/{place}={service}", folder.path().display());
        let mut process = Command::new(env!("CARGO_BIN_EXE_shipmated"))
            .args([at("front", "shipmate"), at("arith", "arith"), at("calculator", "calculator")])
            .args(["--listen=tcp:127.0.0.1:0", "--log-level=warn", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = lines_of(&mut process);
        let mut tcp = None;
        loop {
            match next(&mut lines).await.strip_prefix("shipmated: ") {
                Some("ready") => break,
                Some(line) => {
                    let address = line.strip_prefix("listening at ").unwrap().split(' ').next().unwrap();
                    tcp = address.starts_with("tcp:").then(|| address.to_owned()).or(tcp);
                }
                None => panic!("not the server's word"),
            }
        }
        Server { _process: process, folder, tcp: tcp.unwrap() }
    }

    fn unix(&self, place: &str) -> String {
        format!("unix:{}/{place}", self.folder.path().display())
    }
}

#[tokio::test]
async fn arith_at_a_front_door_and_at_a_listener_of_its_own() {
    let server = Server::start().await;
    for at in [server.unix("front"), server.unix("arith"), server.tcp.clone()] {
        assert_eq!(ok(&["arith", "multiply", "-6", "7", "--at", &at]).await, "-42\n");
        assert_eq!(ok(&["arith", "--at", &at, "divide", "-22", "7"]).await, "-3 -1\n");
        assert_eq!(
            fails(1, &["arith", "divide", "-22", "0", "--at", &at]).await,
            "shipmate: -22 / 0: division by zero\n"
        );
        let error = fails(1, &["arith", "multiply", "9223372036854775807", "2", "--at", &at]).await;
        assert!(error.contains("overflow"), "{error}");
    }
    let error = fails(1, &["arith", "multiply", "1", "2", "--at", &server.unix("calculator")]).await;
    assert!(error.contains("neither a front door nor the service \"arith\""), "{error}");
}

#[tokio::test]
async fn calc_at_a_front_door_and_at_a_listener_of_its_own() {
    let server = Server::start().await;
    for at in [server.unix("front"), server.unix("calculator"), server.tcp.clone()] {
        assert_eq!(ok(&["calc", &at, "2 * (3 + 4) / 7"]).await, "2\n");
        assert_eq!(ok(&["calc", &at, "-2 * -0.25"]).await, "0.5\n");
        assert_eq!(ok(&["calc", &at, "pow(2, 10) - sqrt(max(4, 9))"]).await, "1021\n");
        let define = ["--define", "f(x, y) = x * y + 1", "--define=g(x) = f(x, pow(x, 2))"];
        assert_eq!(ok(&[&["calc", &at][..], &define, &["g(5)"]].concat()).await, "126\n");
    }
    // Neither nests deeply in any one message, although both nest deeply as a whole.
    let at = server.unix("front");
    let sum = (1..=400).map(|n| n.to_string()).collect::<Vec<_>>().join("+");
    assert_eq!(ok(&["calc", &at, &sum]).await, "80200\n");
    let function = format!("f(x, y) = {}", ["x"; 80].join("+") + "*y");
    assert_eq!(ok(&["calc", &at, "--define", &function, "f(2, 3)"]).await, "164\n");
}

#[tokio::test]
async fn a_wrong_expression_is_pointed_at_before_anybody_is_asked() {
    let error = fails(2, &["calc", "unix:/nonexistent/s", "2 * )"]).await;
    assert!(error.contains("column 5: expected a number") && error.contains("\n  2 * )\n      ^"), "{error}");
    let error = fails(2, &["calc", "unix:/nonexistent/s", "1 + f(2)"]).await;
    assert!(error.starts_with("shipmate: column 5: no function f"), "{error}");
}

#[tokio::test]
async fn ping_tells_each_round_trip_and_a_summary() {
    let server = Server::start().await;
    let at = server.unix("front");
    let out = ok(&["ping", &at, "--count", "3", "--interval", "0", "--size", "100000"]).await;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[2].starts_with(&format!("100000 bytes from {at}: seq=3 time=")), "{out}");
    assert!(lines[3].starts_with(&format!("--- {at}: 3 sent, 3 answered, min/median/max ")), "{out}");
    let error = run(&["ping", &server.unix("arith")]).await;
    assert_eq!(error.code, Some(1));
    assert!(error.err.contains("has no front door"), "{}", error.err);
}

/// A server at a plain `unix:` address, and a client that leaves the transport open.
#[tokio::test]
async fn what_auto_got_is_told() {
    let server = Server::start().await;
    let at = server.unix("front").replacen("unix:", "auto:", 1);
    let out = ok(&["ping", &at, "--count", "1"]).await;
    assert!(out.starts_with(&format!("56 bytes from {at} (shm): seq=1 time=")), "{out}");
    let info: serde_json::Value = serde_json::from_str(&ok(&["info", &at, "--json"]).await).unwrap();
    assert_eq!(info["transport"], "shm");
}

#[tokio::test]
async fn an_interrupted_ping_still_sums_up() {
    let server = Server::start().await;
    let mut ping = shipmate(&["ping", &server.tcp]).spawn().unwrap();
    let mut lines = lines_of(&mut ping);
    assert!(next(&mut lines).await.contains("seq=1"));
    interrupt(&ping);
    let mut rest = String::new();
    while let Some(line) = timeout(LONG, lines.next_line()).await.unwrap().unwrap() {
        rest = line;
    }
    assert!(rest.contains("sent, ") && rest.contains("min/median/max"), "{rest}");
    assert_eq!(end(ping).await.code, Some(130));
}

#[tokio::test]
async fn a_closed_output_is_no_panic_and_no_failure() {
    let server = Server::start().await;
    let mut ping = shipmate(&["ping", &server.unix("front"), "--interval", "0"]).spawn().unwrap();
    let mut lines = lines_of(&mut ping);
    next(&mut lines).await;
    drop(lines);
    let ended = end(ping).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn info_for_people_and_for_programs() {
    let server = Server::start().await;
    let at = server.unix("front");
    let text = ok(&["info", &at]).await;
    for word in [env!("CARGO_PKG_VERSION"), "67108864", "calculator"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(text.lines().next().unwrap().ends_with(", reached over unix"), "{text}");
    let info: serde_json::Value = serde_json::from_str(&ok(&["info", &at, "--json"]).await).unwrap();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["limits"]["frameBytesMax"], 64 << 20);
    assert_eq!(info["transport"], "unix");
    assert_eq!(info["services"][0]["name"], "arith");
    assert_eq!(info["services"][0]["interfaceId"], "@0xc83e6402588c6b4b");
}

#[tokio::test]
async fn wrong_usage_and_absent_servers_are_told_apart() {
    let error = fails(2, &["ping", "localhost:80"]).await;
    assert!(error.contains("tcp:HOST:PORT"), "{error}");
    assert!(fails(2, &["arith", "multiply", "1", "2"]).await.contains("--at"));
    assert!(fails(2, &["arith", "multiply", "1", "x", "--at", "unix:/s"]).await.contains("'x'"));
    assert!(fails(2, &["ping", "unix:/s", "--timeout=-1"]).await.contains("--timeout"));
    let error = fails(1, &["info", "unix:/nonexistent/s"]).await;
    assert!(error.starts_with("shipmate: nobody answers at unix:/nonexistent/s"), "{error}");
}

const RECORDS: &str = concat!(
    r#"{"name":"","value":0}"#,
    "\n",
    r#"{"name":"buoy \"7\"\n","value":-9223372036854775808,"tags":["","é"],"#,
    r#""position":{"latitude":0.1,"longitude":-0.0},"#,
    r#""readings":[{"sensor":"wind","timeMillis":9223372036854775807,"values":[5e-324,2.5,"NaN","Infinity"]}],"#,
    r#""body":{"text":"ahoy"}}"#,
    "\n",
    r#"{"name":"number","value":1,"body":{"number":"-Infinity"}}"#,
    "\n",
    r#"{"name":"bytes","value":2,"body":{"bytes":"AP8="}}"#,
    "\n"
);

/// A `recv` that listens, and its address.
async fn receiver(address: &str, options: &[&str]) -> (Child, String) {
    let mut recv = shipmate(&[&["recv", address], options].concat()).spawn().unwrap();
    if address.starts_with("pipe:") {
        return (recv, address.to_owned());
    }
    let mut lines = BufReader::new(recv.stderr.take().unwrap()).lines();
    let line = next(&mut lines).await;
    let address = line.strip_prefix("shipmate: listening at ").unwrap_or_else(|| panic!("{line}")).to_owned();
    // Closing its standard error must not hurt it.
    (recv, address)
}

async fn send(address: &str, input: &str) -> Ended {
    let mut send = shipmate(&["send", address]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = send.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    end(send).await
}

#[tokio::test]
async fn records_arrive_as_they_were_sent_on_every_transport() {
    let folder = tempfile::tempdir().unwrap();
    let place = |transport: &str| format!("{transport}:{}/{transport}", folder.path().display());
    for address in [place("pipe"), place("unix"), place("shm"), place("auto"), "tcp:127.0.0.1:0".to_owned()] {
        let (recv, address) = receiver(&address, &[]).await;
        let sent = send(&address, RECORDS).await;
        assert_eq!((sent.code, sent.err.as_str()), (Some(0), ""), "{address}");
        let received = end(recv).await;
        assert_eq!((received.code, received.out.as_str()), (Some(0), RECORDS), "{address}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn records_are_sent_from_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, RECORDS).unwrap();
    let (recv, address) = receiver("tcp:127.0.0.1:0", &[]).await;
    ok(&["send", &address, file.to_str().unwrap()]).await;
    assert_eq!(end(recv).await.out, RECORDS);
    let error = fails(1, &["send", &address, "/nonexistent/file"]).await;
    assert!(error.starts_with("shipmate: open /nonexistent/file"), "{error}");
}

#[tokio::test]
async fn a_wrong_line_is_named_after_the_records_before_it_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (recv, address) = receiver(&format!("pipe:{}/p", folder.path().display()), &[]).await;
    let input = "{\"value\":1}\n\n{\"readings\":[{\"timeMillis\":true}]}\n{\"value\":4}\n";
    let sent = send(&address, input).await;
    assert_eq!(sent.code, Some(1));
    assert!(sent.err.starts_with("shipmate: line 3: readings[0].timeMillis: invalid type: boolean"), "{}", sent.err);
    let received = end(recv).await;
    assert_eq!((received.code, received.out.as_str()), (Some(0), "{\"name\":\"\",\"value\":1}\n"));
}

#[tokio::test]
async fn a_record_is_printed_as_it_comes() {
    let (mut recv, address) = receiver("tcp:127.0.0.1:0", &[]).await;
    let mut lines = lines_of(&mut recv);
    let mut send = shipmate(&["send", &address]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = send.stdin.take().unwrap();
    for n in 0..3 {
        // The next is only written once this one is there.
        stdin.write_all(format!("{{\"value\":{n}}}\n").as_bytes()).await.unwrap();
        assert_eq!(next(&mut lines).await, format!("{{\"name\":\"\",\"value\":{n}}}"));
    }
    drop(stdin);
    assert_eq!((end(send).await.code, end(recv).await.code), (Some(0), Some(0)));
}

/// A `publish` that listens, waiting for this many subscribers.
async fn publisher(address: &str, wait: &str) -> Child {
    let mut publish = shipmate(&["publish", address, "--wait", wait]).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(publish.stderr.take().unwrap()).lines();
    assert_eq!(next(&mut lines).await, format!("shipmate: publishing at {address}"));
    publish
}

#[tokio::test]
async fn what_is_published_is_printed_by_every_subscriber() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("shm:{}/depths", folder.path().display());
    let mut publish = publisher(&address, "3").await;
    publish.stdin.take().unwrap().write_all(RECORDS.as_bytes()).await.unwrap();
    let policies = [&[][..], &["--policy", "lose-oldest"], &["--count", "4"]];
    let subscribers = policies.map(|options| shipmate(&[&["subscribe", &address], options].concat()).spawn().unwrap());
    for subscriber in subscribers {
        let ended = end(subscriber).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), RECORDS));
        assert_eq!(ended.err, "shipmate: subscribed\n");
    }
    assert_eq!(end(publish).await.code, Some(0));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_publisher_that_is_killed_fails_its_subscribers() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("shm:{}/depths", folder.path().display());
    let mut publish = publisher(&address, "1").await;
    let mut subscribe = shipmate(&["subscribe", &address]).spawn().unwrap();
    let mut lines = lines_of(&mut subscribe);
    let mut stdin = publish.stdin.take().unwrap();
    stdin.write_all(b"{\"value\":1}\n").await.unwrap();
    assert_eq!(next(&mut lines).await, "{\"name\":\"\",\"value\":1}");
    publish.kill().await.unwrap();
    let ended = end(subscribe).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("the connection is gone"), "{}", ended.err);

    let elsewhere = fails(1, &["subscribe", "tcp:127.0.0.1:1"]).await;
    assert!(elsewhere.contains("write shm:/path"), "{elsewhere}");
    assert!(fails(2, &["subscribe", &address, "--policy", "hope"]).await.contains("lose-oldest"));
    assert!(fails(1, &["subscribe", &address]).await.contains("nobody answers"));
}

#[tokio::test]
async fn recv_stops_after_the_count_and_complains_about_fewer() {
    let (recv, address) = receiver("tcp:127.0.0.1:0", &["--count", "2"]).await;
    send(&address, RECORDS).await;
    let received = end(recv).await;
    assert_eq!((received.code, received.out.lines().count()), (Some(0), 2));

    let folder = tempfile::tempdir().unwrap();
    let (recv, address) = receiver(&format!("pipe:{}/p", folder.path().display()), &["--count", "9"]).await;
    send(&address, RECORDS).await;
    let received = end(recv).await;
    assert_eq!((received.code, received.out.as_str()), (Some(1), RECORDS));
    assert!(received.err.contains("the sender ended after 4 of 9 records"), "{}", received.err);
}

#[tokio::test]
async fn an_interrupted_reader_or_writer_of_a_pipe_leaves_no_pipe() {
    for command in ["recv", "send"] {
        let folder = tempfile::tempdir().unwrap();
        let child = shipmate(&[command, &format!("pipe:{}/p", folder.path().display())]).spawn().unwrap();
        let made = async {
            while names(folder.path()).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, made).await.expect("the pipe is not made");
        interrupt(&child);
        assert_eq!(end(child).await.code, Some(130), "{command}");
        assert_eq!(names(folder.path()), [""; 0], "{command}");
    }
}

/// A read that waits in a thread once held the end of the program up.
#[tokio::test]
async fn an_interrupt_ends_a_sender_whose_input_is_silent() {
    let (mut recv, address) = receiver("tcp:127.0.0.1:0", &[]).await;
    let mut lines = lines_of(&mut recv);
    let mut send = shipmate(&["send", &address]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = send.stdin.take().unwrap();
    stdin.write_all(b"{}\n").await.unwrap();
    next(&mut lines).await;
    interrupt(&send);
    assert_eq!(end(send).await.code, Some(130));
    drop(stdin);
    end(recv).await;
}

/// So did a write to an output that nobody reads.
#[tokio::test]
async fn an_interrupt_ends_a_receiver_whose_output_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    let line = format!("{{\"name\":\"{}\"}}\n", "x".repeat(1000));
    std::fs::write(&file, line.repeat(10_000)).unwrap();
    let (mut recv, address) = receiver("tcp:127.0.0.1:0", &[]).await;
    let mut lines = lines_of(&mut recv);
    let send = shipmate(&["send", &address, file.to_str().unwrap()]).spawn().unwrap();
    next(&mut lines).await;
    interrupt(&recv);
    let status = timeout(LONG, recv.wait()).await.expect("it hangs").unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(end(send).await.code, Some(1));
}

/// It once noticed only with the next line, which may never come.
#[tokio::test]
async fn a_sender_whose_receiver_dies_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = |transport: &str| format!("{transport}:{}/{transport}", folder.path().display());
    for address in [place("pipe"), place("unix"), place("shm"), place("auto"), "tcp:127.0.0.1:0".to_owned()] {
        let (mut recv, address) = receiver(&address, &[]).await;
        let mut lines = lines_of(&mut recv);
        let mut send = shipmate(&["send", &address]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = send.stdin.take().unwrap();
        stdin.write_all(b"{}\n\n{}\n").await.unwrap();
        next(&mut lines).await;
        next(&mut lines).await;
        recv.kill().await.unwrap();
        let ended = end(send).await;
        assert_eq!(ended.code, Some(1), "{address}");
        assert!(ended.err.starts_with("shipmate: after line 3: the connection is gone"), "{address}: {}", ended.err);
        drop(stdin);
    }
}

/// The end of the input may come a little later than that of a receiver that has enough.
#[tokio::test]
async fn a_receiver_that_has_taken_everything_may_end_first() {
    let folder = tempfile::tempdir().unwrap();
    let place = |transport: &str| format!("{transport}:{}/{transport}", folder.path().display());
    for address in [place("pipe"), place("unix"), place("shm")] {
        let (recv, address) = receiver(&address, &["--count", "1"]).await;
        let sent = send(&address, "{}\n").await;
        assert_eq!((sent.code, sent.err.as_str()), (Some(0), ""), "{address}");
        assert_eq!(end(recv).await.code, Some(0));
    }
}

#[tokio::test]
async fn a_receiver_ends_with_its_standard_input_if_it_is_told_to() {
    let mut recv = shipmate(&["recv", "tcp:127.0.0.1:0", "--until-stdin-ends"]);
    let mut recv = recv.stdin(Stdio::piped()).spawn().unwrap();
    drop(recv.stdin.take());
    let ended = end(recv).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("standard input ended before the sender did"), "{}", ended.err);
}

#[tokio::test]
async fn a_writer_waits_no_longer_than_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let error = fails(1, &["send", &format!("pipe:{}/p", folder.path().display()), "--timeout", "0.1"]).await;
    assert!(error.contains("nobody received within 100ms"), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn the_demo_shows_every_transport_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ended = end(shipmate(&["demo"]).env("TMPDIR", folder.path()).spawn().unwrap()).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for word in ["tcp", "unix", "pipe", "shm", "auto", "memory", "callback", "All 8 steps", "5 of them over memory"] {
        assert!(ended.out.contains(word), "{word}: {}", ended.out);
    }
    for (step, over_memory) in [("synchronous call", false), ("callback", true), ("1,000 records", false)] {
        let row = ended.out.lines().find(|line| line.starts_with(&format!("│ {step}"))).unwrap();
        let cells: Vec<_> = row.trim_end_matches(" │").split('┆').map(str::trim).collect();
        assert!(cells[1..6].iter().all(|cell| cell.ends_with(" ms")), "{row}");
        assert_eq!((cells.len(), cells[6] != "-"), (7, over_memory), "{row}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

/// By SIGKILL too, and then the server still takes its socket along.
#[tokio::test]
async fn a_demo_that_is_ended_takes_its_server_along() {
    for (sign, code) in
        [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::HUP, Some(129)), (Signal::KILL, None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = shipmate(&["demo", "--transport=unix", "--keep"]);
        let mut demo = demo.env("TMPDIR", folder.path()).spawn().unwrap();
        let mut lines = lines_of(&mut demo);
        let address = loop {
            if let Some(address) = next(&mut lines).await.strip_prefix("  shipmate ping ") {
                break address.to_owned();
            }
        };
        let info: serde_json::Value = serde_json::from_str(&ok(&["info", &address, "--json"]).await).unwrap();
        let server = Pid::from_raw(info["processId"].as_i64().unwrap() as i32).unwrap();
        assert!(test_kill_process(server).is_ok());
        signal(&demo, sign);
        drop(lines);
        let ended = end(demo).await;
        assert_eq!((ended.code, ended.err.as_str()), (code, ""));
        if sign == Signal::KILL {
            let gone = async {
                while runs(server) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(LONG, gone).await.expect("the server lives on");
            for left in names(folder.path()) {
                assert_eq!(names(&folder.path().join(left)), [""; 0]);
            }
            continue;
        }
        assert!(test_kill_process(server).is_err(), "the server lives on");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_demo_within_one_process_needs_no_server() {
    let out = ok(&["demo", "--transport=memory", "--server=/nonexistent/shipmated"]).await;
    assert!(out.contains("5 of 8 steps gave the right results over memory in "), "{out}");
    let error = fails(2, &["demo", "--transport=memory", "--keep"]).await;
    assert!(error.starts_with("shipmate: --keep: there is no server over memory"), "{error}");
}

#[tokio::test]
async fn a_demo_that_fails_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (server, hint) in [("/nonexistent/shipmated", "start /nonexistent/shipmated"), ("/bin/true", "it ended before")]
    {
        let demo = shipmate(&["demo", "--server", server]).env("TMPDIR", folder.path()).spawn().unwrap();
        let ended = end(demo).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        assert!(ended.err.starts_with("shipmate: ") && ended.err.contains(hint), "{}", ended.err);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn completions_and_manual_know_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man");
    ok(&["man", "--out", out.to_str().unwrap()]).await;
    let (script, manual) = (ok(&["completions", "bash"]).await, ok(&["man"]).await);
    for command in [
        "ping",
        "info",
        "arith",
        "calc",
        "send",
        "recv",
        "publish",
        "subscribe",
        "demo",
        "generate",
        "new",
        "completions",
        "man",
    ] {
        let page = std::fs::read_to_string(out.join(format!("shipmate-{command}.1"))).unwrap();
        assert!(page.contains("Examples"), "{page}");
        assert!(manual.contains(&format!(".TH shipmate-{command} 1")), "{command}");
        assert!(
            script.contains(&format!("shipmate__{command}"))
                || script.contains(&format!("shipmate__subcmd__{command}")),
            "{command}"
        );
    }
    let help = ok(&["--help"]).await;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}
