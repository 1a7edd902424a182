// Processes for the tests, among them a real `shipmated`.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

// A folder that is removed in the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A process whose standard input and output are pipes. It is killed in the end.
class Process {
 public:
  // `unset` is the name of an environment variable that it is not to have. Its errors are among its output
  // when `withErrors`.
  explicit Process(std::vector<std::string> command, bool withErrors = false, const char* unset = nullptr);
  ~Process();
  Process(const Process&) = delete;

  // Without its end; none after the last.
  std::optional<std::string> readLine();

  // All that is left.
  std::string readAll();

  void write(const std::string& text);
  void closeInput();

  // Its exit status, or minus the signal that ended it.
  int wait();

  void kill(int signal);

 private:
  pid_t id_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string unread_;
};

// The path of a program of this repository, which is built when it is missing.
std::string repositoryProgram(const std::string& name);

// A server that can be killed and started again at the same addresses.
class Shipmated {
 public:
  // Listeners, such as "unix:/path=arith".
  explicit Shipmated(std::vector<std::string> listeners);

  void start();
  void kill();

  // Where it listens, with the ports that the system chose.
  std::vector<std::string> addresses;

 private:
  std::vector<std::string> listeners_;
  std::optional<Process> process_;
};
