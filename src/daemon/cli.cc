// SPDX-License-Identifier: Apache-2.0
#include "daemon/cli.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/version.h"
#include "daemon/daemon.h"
#include "daemon/decide.h"
#include "migrate/migrate.h"
#include "settings/assembly.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr int kDone = 0, kJudgedBad = 1, kWrongUsage = 2, kCannotOpen = 3;

constexpr std::string_view kHelp =
    R"(tailgate: a trace collector with tail-based sampling

  tailgate run --config FILE [--set KEY=VALUE]...                the daemon
  tailgate check --config FILE [--set KEY=VALUE]...              says what is wrong with a configuration, starts nothing
  tailgate decide --config FILE [--set KEY=VALUE]... SPANS...    what the policies make of OTLP files; a JSON line a trace
  tailgate migrate COLLECTOR.yaml                                the same configuration, of an OpenTelemetry Collector
  tailgate --version
  tailgate --help

  --config FILE      YAML; see docs/config.md
  --set KEY=VALUE    overrides one value: a.b.c=VALUE, VALUE is YAML, list items go by index; the last one wins
  SPANS              OTLP traces, protobuf or JSON lines, or JSON of Jaeger, Tempo, Zipkin; - for standard input;
                     see docs/commands.md
  --summary          decide prints counts by verdict and by policy instead of a line a trace
  COLLECTOR.yaml     what it has and Tailgate does not is named on standard error, and the exit code is 1

Exit codes: 0 done, 1 the input was judged bad, 2 wrong usage, 3 cannot bind or open, 128 + signal after a second signal.
)";

int usage(std::string_view what) {
  fmt::print(stderr, "tailgate: {}\n\n{}", what, kHelp);
  return kWrongUsage;
}

struct Loaded {
  DaemonConfig config;
  Assembly parts;
};

// What the commands work with; nothing, with every error printed, when the configuration is not good.
std::optional<Loaded> load(const ConfigSource& source, int& exit_code) {
  Result<DaemonConfig> config = read_daemon_config(source);
  exit_code = kJudgedBad;
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().text);
    if (config.error().kind == ErrorKind::kIo) exit_code = kCannotOpen;
    return std::nullopt;
  }
  Assembly parts = assemble(*config);
  for (const std::string& line : messages(config->issues->errors)) fmt::print(stderr, "{}\n", line);
  if (!config->issues->errors.empty()) return std::nullopt;
  return Loaded{std::move(*config), std::move(parts)};
}

int check(const ConfigSource& source) {
  int exit_code = kDone;
  const std::optional<Loaded> loaded = load(source, exit_code);
  if (!loaded) return exit_code;
  for (const std::string& line : messages(loaded->config.issues->notices)) fmt::print(stderr, "{}\n", line);
  for (const std::string& line : loaded->parts.exporters->damaged_queues()) fmt::print(stderr, "{}\n", line);
  fmt::print("{}: good\n", source.path);
  return kDone;
}

int run(const ConfigSource& source) {
  // gRPC reads this once: its default poller costs the whole process half as much again (docs/design).
  setenv("GRPC_POLL_STRATEGY", "poll", 0);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: they inherit it
  ::signal(SIGPIPE, SIG_IGN);

  int exit_code = kDone;
  std::optional<Loaded> loaded = load(source, exit_code);
  if (!loaded) return exit_code;
  setup_log(loaded->config.logs);
  log_info("starting", {{"version", build_version()}, {"commit", build_commit()}, {"config", source.path}});
  for (const std::string& line : messages(loaded->config.issues->notices)) log_warn(line);
  Daemon daemon(std::move(loaded->config), std::move(loaded->parts), source);
  if (const Result<void> started = daemon.start(); !started) {
    log_error("cannot start", {{"error", started.error().text}});
    return started.error().kind == ErrorKind::kConfig ? kJudgedBad : kCannotOpen;
  }
  daemon.run();
  return kDone;
}

int decide(const ConfigSource& source, const std::vector<std::string>& files, bool summary) {
  int exit_code = kDone;
  const std::optional<Loaded> loaded = load(with_bare_policies(source), exit_code);
  return loaded ? decide_files(loaded->config, loaded->parts, files, summary) : exit_code;
}

// What stands after the command.
struct Arguments {
  bool help = false;
  bool summary = false;
  ConfigSource source;
  std::vector<std::string> files;
  std::string wrong;  // what is wrong with them
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  bool only_files = false;
  for (int i = 2; i < argc && out.wrong.empty() && !out.help; ++i) {
    std::string_view flag = argv[i];
    if (only_files || flag == "-" || !flag.starts_with('-')) {
      out.files.emplace_back(flag);
      continue;
    }
    only_files = flag == "--";
    out.help = flag == "--help";
    if (only_files || out.help) continue;
    if (flag == "--summary" && std::string_view(argv[1]) == "decide") {
      out.summary = true;
      continue;
    }
    std::optional<std::string> value;
    if (const auto equals = flag.find('='); equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    }
    if (flag != "--config" && flag != "--set") {
      out.wrong = fmt::format("unknown flag '{}'", flag);
    } else if (!value) {
      out.wrong = fmt::format("{} wants a value", flag);
    } else if (flag == "--config") {
      out.source.path = *value;
    } else if (value->find('=') == std::string::npos) {
      out.wrong = fmt::format("--set wants KEY=VALUE, got '{}'", *value);
    } else {
      out.source.overrides.push_back(*value);
    }
  }
  return out;
}

}  // namespace

int run_cli(int argc, char** argv) {
  if (argc < 2) return usage("expected a command");
  const std::string_view command = argv[1];
  if (command == "--help" || command == "-h" || command == "help") {
    fmt::print("{}", kHelp);
    return kDone;
  }
  if (command == "--version" || command == "version") {
    fmt::print("tailgate {} (commit {}, {})\n", build_version(), build_commit(), build_compiler());
    return kDone;
  }
  if (command != "run" && command != "check" && command != "decide" && command != "migrate") {
    return usage(fmt::format("unknown command '{}'", command));
  }
  const Arguments arguments = parse(argc, argv);
  if (arguments.help) {
    fmt::print("{}", kHelp);
    return kDone;
  }
  if (!arguments.wrong.empty()) return usage(arguments.wrong);
  if (command == "migrate") {
    if (!arguments.source.path.empty() || !arguments.source.overrides.empty() || arguments.files.size() != 1) {
      return usage("migrate wants one file, the configuration of a Collector, or - for standard input");
    }
    return migrate_file(arguments.files[0]);
  }
  if (arguments.source.path.empty()) return usage(fmt::format("{} wants --config FILE", command));
  if (command == "decide") {
    if (arguments.files.empty()) return usage("decide wants files of spans, or - for standard input");
    return decide(arguments.source, arguments.files, arguments.summary);
  }
  if (!arguments.files.empty()) return usage(fmt::format("{} wants no '{}'", command, arguments.files[0]));
  return command == "check" ? check(arguments.source) : run(arguments.source);
}

}  // namespace tailgate
