// The samples and the program `conformance`, as processes.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <regex>

#include "process.h"

namespace {

// The steps that client/README.md has.
std::vector<std::string> steps() {
  std::vector<std::string> found;
  std::ifstream contract(REPOSITORY "/client/README.md");
  for (std::string line; std::getline(contract, line);) {
    if (line.rfind("## Who", 0) == 0) break;
    std::smatch match;
    if (std::regex_search(line, match, std::regex("^\\| `([a-z-]+)` \\|"))) found.push_back(match[1]);
  }
  return found;
}

// At the server's own address, or at one that leads there by `transport`.
void runConformance(const std::string& place, const std::string& transport = "") {
  Shipmated server({place + "=conformance"});
  auto address = server.addresses[0];
  if (!transport.empty()) address.replace(0, address.find(':'), transport);
  Process program({PROGRAMS "/conformance", address, "--restart"});
  std::vector<std::string> lines;
  while (auto line = program.readLine()) {
    if (*line == "restart now") {
      server.kill();
      server.start();
      program.write("restarted\n");
    } else {
      lines.push_back(*line);
    }
  }
  std::vector<std::string> expected;
  for (auto& step : steps()) expected.push_back("ok " + step);
  EXPECT_EQ(lines, expected);
  EXPECT_EQ(expected.size(), 24u);
  EXPECT_EQ(program.wait(), 0);
}

}  // namespace

TEST(Conformance, OverTcp) { runConformance("tcp:127.0.0.1:0"); }

TEST(Conformance, OverUnix) {
  TemporaryFolder folder;
  runConformance("unix:" + (folder / "c"));
}

TEST(Conformance, OverLibshipmate) {
  if (std::getenv("SHIPMATE_LIBRARY") == nullptr) GTEST_SKIP() << "SHIPMATE_LIBRARY is not set";
  TemporaryFolder folder;
  runConformance("shm:" + (folder / "s"));
  runConformance("pipe:" + (folder / "p"));
  runConformance("unix:" + (folder / "u"), "auto");
}

TEST(Conformance, NobodyAtTheAddressIs2) {
  TemporaryFolder folder;
  Process program({PROGRAMS "/conformance", "unix:" + (folder / "nobody")}, true);
  EXPECT_NE(program.readAll().find("nobody answers"), std::string::npos);
  EXPECT_EQ(program.wait(), 2);
}

TEST(Conformance, AWrongServerIs1) {
  TemporaryFolder folder;
  Shipmated server({"unix:" + (folder / "a") + "=arith"});
  Process program({PROGRAMS "/conformance", server.addresses[0]});
  EXPECT_EQ(program.readAll().rfind("FAILED primitives: the service answered: unimplemented", 0), 0u);
  EXPECT_EQ(program.wait(), 1);
}

TEST(Samples, Arith) {
  TemporaryFolder folder;
  Shipmated server({"unix:" + (folder / "a") + "=arith"});
  Process program({PROGRAMS "/arith", server.addresses[0]});
  EXPECT_EQ(program.readAll(), "22 / 7: 3 remainder 1\n1 / 0: divided by zero\n");
  EXPECT_EQ(program.wait(), 0);
}

TEST(Samples, Callback) {
  TemporaryFolder folder;
  Shipmated server({"unix:" + (folder / "c") + "=calculator"});
  Process program({PROGRAMS "/callback", server.addresses[0]});
  EXPECT_EQ(program.readAll(), "called with 2 numbers\n25\n");
  EXPECT_EQ(program.wait(), 0);
}

TEST(Samples, Records) {
  TemporaryFolder folder;
  auto address = "unix:" + (folder / "r");
  Process receiver({PROGRAMS "/records", "receive", address}, true);
  EXPECT_EQ(receiver.readLine(), "listening at " + address);
  EXPECT_EQ(Process({PROGRAMS "/records", "send", address}).wait(), 0);
  EXPECT_EQ(receiver.readAll(), "depth 42 harbour\nwind 7\n");
  EXPECT_EQ(receiver.wait(), 0);
}

TEST(Samples, ServeArithForTheRustClient) {
  TemporaryFolder folder;
  for (auto& place : {std::string("tcp:127.0.0.1:0"), "unix:" + (folder / "a")}) {
    Process server({PROGRAMS "/serve_arith", place});
    auto address = server.readLine().value_or("").substr(std::string("ready at ").size());
    auto shipmate = repositoryProgram("shipmate");
    auto call = [&](const char* method, const char* a, const char* b) {
      return Process({shipmate, "arith", method, "--at", address, "--", a, b}, true).readAll();
    };
    EXPECT_EQ(call("multiply", "6", "7"), "42\n");
    EXPECT_NE(call("divide", "-22", "7").find("-3"), std::string::npos) << call("divide", "-22", "7");
    EXPECT_NE(call("divide", "1", "0").find("zero"), std::string::npos) << call("divide", "1", "0");
    server.kill(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
  }
}
