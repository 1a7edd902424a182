#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

TemporaryFolder::TemporaryFolder() {
  char name[] = "/tmp/shipmate-cpp-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

Process::Process(std::vector<std::string> command, bool withErrors, const char* unset) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipes");
  std::vector<char*> arguments;
  for (auto& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  id_ = fork();
  if (id_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    if (withErrors) dup2(out[1], STDERR_FILENO);
    if (unset != nullptr) unsetenv(unset);
    // KJ has blocked some in this thread, and execution keeps that.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  input_ = in[1];
  output_ = out[0];
}

Process::~Process() {
  closeInput();
  kill(SIGKILL);
  wait();
  close(output_);
}

std::optional<std::string> Process::readLine() {
  while (true) {
    auto end = unread_.find('\n');
    if (end != std::string::npos) {
      auto line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    char buffer[4096];
    auto count = read(output_, buffer, sizeof(buffer));
    if (count <= 0) return std::nullopt;
    unread_.append(buffer, count);
  }
}

std::string Process::readAll() {
  std::string all;
  while (auto line = readLine()) all += *line + "\n";
  return all + unread_;
}

void Process::write(const std::string& text) {
  if (::write(input_, text.data(), text.size()) != ssize_t(text.size()))
    throw std::runtime_error("not written");
}

void Process::closeInput() {
  if (input_ >= 0) close(input_);
  input_ = -1;
}

int Process::wait() {
  if (id_ < 0) return -1;
  int status;
  waitpid(id_, &status, 0);
  id_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void Process::kill(int signal) {
  if (id_ > 0) ::kill(id_, signal);
}

std::string repositoryProgram(const std::string& name) {
  auto folder = std::filesystem::path(REPOSITORY) / "target" / "debug";
  if (const char* given = std::getenv("SHIPMATED")) folder = std::filesystem::absolute(given).parent_path();
  if (!std::filesystem::exists(folder / name)) {
    Process({"cargo", "build", "--quiet", "--bins", "--manifest-path", REPOSITORY "/Cargo.toml"}).wait();
  }
  return folder / name;
}

Shipmated::Shipmated(std::vector<std::string> listeners) : listeners_(std::move(listeners)) { start(); }

void Shipmated::start() {
  std::vector<std::string> command{repositoryProgram("shipmated")};
  for (auto& listener : listeners_) command.insert(command.end(), {"--listen", listener});
  process_.emplace(command);
  addresses.clear();
  const std::string found = "shipmated: listening at ";
  while (true) {
    auto line = process_->readLine();
    if (!line) throw std::runtime_error("shipmated ended before it was ready");
    if (line->rfind("shipmated: ready", 0) == 0) break;
    if (line->rfind(found, 0) == 0) {
      addresses.push_back(line->substr(found.size(), line->find(' ', found.size()) - found.size()));
    }
  }
  // The ports that the system chose stay the same after a restart.
  for (size_t index = 0; index < listeners_.size(); ++index) {
    listeners_[index] = addresses[index] + listeners_[index].substr(listeners_[index].rfind('='));
  }
}

void Shipmated::kill() { process_.reset(); }
