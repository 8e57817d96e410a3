// SPDX-License-Identifier: Apache-2.0
#include "daemon/cli.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "base/version.h"
#include "daemon/cli_text.h"
#include "daemon/daemon.h"
#include "daemon/decide.h"
#include "daemon/keep_command.h"
#include "daemon/query.h"
#include "daemon/replay_command.h"
#include "migrate/migrate.h"
#include "settings/assembly.h"
#include "settings/capacity.h"
#include "telemetry/log.h"

namespace tailgate {

// What stands after the command.
struct Arguments {
  bool help = false;
  bool summary = false;  // of decide
  bool strict = false;   // of check
  ConfigSource source;
  std::vector<std::string> files;
  Traffic traffic;       // of check; without a rate it is not asked for
  bool of_rate = false;  // more of it was given
  QueryArguments query;
  KeepArguments keep;
  std::string journal;  // of replay
  Duration last = Duration::zero();
  std::string wrong;  // what is wrong with them
};

namespace {

constexpr std::uint64_t kSpanBytesMax = 1 << 30, kNumberMax = 1'000'000'000;

constexpr Flag kConfig = {"--config", "FILE", "the configuration, in YAML: docs/config.md"};
constexpr Flag kSet = {"--set", "KEY=VALUE",
                       "overrides one value: a.b.c=VALUE, VALUE is YAML, list items go by index; the last one wins"};

int run_daemon(const Arguments&);
int check(const Arguments&);
int decide(const Arguments&);
int migrate(const Arguments&);
int query(const Arguments&);
int keep(const Arguments&);
int replay(const Arguments&);

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"run",
       "[FILE]",
       "the daemon",
       {kConfig, kSet},
       "the same as --config FILE",
       "tailgate run --config config/tailgate.yaml --set telemetry.logs.level=debug",
       run_daemon},
      {"check",
       "[FILE]",
       "says what is wrong with a configuration, starts nothing",
       {kConfig,
        kSet,
        {"--strict", "", "exits with 1 if there are notices too"},
        {"--rate", "SPANS", "says also what memory so many spans a second need, and exits with 1 if there is less"},
        {"--span-bytes", "SIZE", "of one span on the wire, with --rate; 500 bytes if not given"},
        {"--trace-spans", "N", "spans of one trace, with --rate; 10 if not given"}},
       "the same as --config FILE",
       "tailgate check config/gateway.yaml --rate 50000 --span-bytes 900",
       check},
      {"decide",
       "SPANS...",
       "what the policies make of files of spans; a JSON line a trace",
       {{"--config", "FILE", "the configuration, or a file of policies alone"},
        kSet,
        {"--summary", "", "counts by verdict and by policy instead of a line a trace"}},
       "OTLP traces, protobuf or JSON lines, or JSON of Jaeger, Tempo or Zipkin; - is standard input: docs/commands.md",
       "tailgate decide --config config/tailgate.yaml kept-traces.json",
       decide},
      {"migrate",
       "COLLECTOR.yaml",
       "the same configuration, of an OpenTelemetry Collector",
       {},
       "what Tailgate does not have is named on standard error and in comments, and the exit code is 1; - is standard "
       "input",
       "tailgate migrate collector.yaml > tailgate.yaml",
       migrate},
      {"query",
       "[QUERY]",
       "finds kept traces in the directory of a store exporter, and any trace by its id in that of a journal",
       {{"--store", "DIR", "the directory; the daemon may be running"},
        {"--journal", "DIR", "likewise, of a journal, with --trace; it has traces that were not kept, too"},
        {"--trace", "ID", "one trace, instead of a query"},
        {"--since", "TIME", "looks at so much time until now; 1h if not given"},
        {"--limit", "N", "at most so many traces, the newest; 20 if not given"},
        {"--format", "FORM", "table, json or otlp; if not given, table on a terminal and json elsewhere"}},
       "a query in TraceQL: docs/traceql.md. The exit code is 4 when nothing is found",
       "tailgate query --store DIR '{ resource.service.name = \"checkout\" && duration > 1s }'",
       query},
      {"keep",
       "[ID...]",
       "keeps traces that were not kept, while the journal has them",
       {{"--web", "ADDRESS", "the daemon's web.endpoint, HOST:PORT"},
        {"--reason", "TEXT", "why, which the kept spans will say"},
        {"--condition", "TEXT", "instead of ids: of the policy type trace, docs/policies.md"},
        {"--since", "TIME", "with a condition: of what came so long ago, at most; all that there is if not given"},
        {"--limit", "N", "with a condition: at most so many traces; 1000 if not given"},
        {"--again", "", "with ids: what was kept already is sent once more"}},
       "ids of traces. The exit code is 4 when nothing is found",
       "tailgate keep --web localhost:16680 --reason 'incident 7' 4bf92f3577b34da6a3ce929d0e0e4736",
       keep},
      {"replay",
       "",
       "what other policies would have kept of what a journal has",
       {{"--journal", "DIR", "its directory; the daemon may be running"},
        {"--config", "FILE", "the configuration, or a file of policies alone"},
        kSet,
        {"--last", "TIME", "of what came so long ago, at most; all that there is if not given"}},
       "",
       "tailgate replay --journal /var/lib/tailgate/journal --config new.yaml --last 30m",
       replay},
  };
  return all;
}

int usage(std::string_view what, const std::string& help_text) {
  fmt::print(stderr, "tailgate: {}\n\n{}", what, help_text);
  return exit_with::kWrongUsage;
}

struct Loaded {
  DaemonConfig config;
  Assembly parts;
};

// What the commands work with; nothing, with every error printed, when the configuration is not good.
std::optional<Loaded> load(const ConfigSource& source, int& exit_code) {
  Result<DaemonConfig> config = read_daemon_config(source);
  exit_code = exit_with::kJudgedBad;
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().text);
    if (config.error().kind == ErrorKind::kIo) exit_code = exit_with::kCannotOpen;
    return std::nullopt;
  }
  Assembly parts = assemble(*config);
  for (const std::string& line : messages(config->issues->errors)) fmt::print(stderr, "{}\n", line);
  if (!config->issues->errors.empty()) return std::nullopt;
  return Loaded{std::move(*config), std::move(parts)};
}

int check(const Arguments& arguments) {
  const ConfigSource& source = arguments.source;
  const Traffic& traffic = arguments.traffic;
  int exit_code = exit_with::kDone;
  const std::optional<Loaded> loaded = load(source, exit_code);
  if (!loaded) return exit_code;
  std::vector<std::string> notices = messages(loaded->config.issues->notices);
  for (std::string& line : loaded->parts.exporters->damaged_queues()) notices.push_back(std::move(line));
  for (const std::string& line : notices) fmt::print(stderr, "{}\n", line);
  if (arguments.strict && !notices.empty()) return exit_with::kJudgedBad;
  fmt::print("{}: good\n", source.path);
  if (traffic.spans_per_second == 0) return exit_with::kDone;
  const CapacityReport report = report_capacity(traffic, loaded->config.sampling, loaded->parts.tls_connections);
  fmt::print("{}", report.text);
  return report.enough ? exit_with::kDone : exit_with::kJudgedBad;
}

int run_daemon(const Arguments& arguments) {
  const ConfigSource& source = arguments.source;
  // gRPC reads this once: its default poller costs the whole process half as much again (docs/design).
  setenv("GRPC_POLL_STRATEGY", "poll", 0);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: they inherit it
  ::signal(SIGPIPE, SIG_IGN);

  int exit_code = exit_with::kDone;
  std::optional<Loaded> loaded = load(source, exit_code);
  if (!loaded) return exit_code;
  setup_log(loaded->config.logs);
  log_info("starting", {{"version", build_version()}, {"commit", build_commit()}, {"config", source.path}});
  for (const std::string& line : messages(loaded->config.issues->notices)) log_warn(line);
  Daemon daemon(std::move(loaded->config), std::move(loaded->parts), source);
  if (const Result<void> started = daemon.start(); !started) {
    log_error("cannot start", {{"error", started.error().text}});
    return started.error().kind == ErrorKind::kConfig ? exit_with::kJudgedBad : exit_with::kCannotOpen;
  }
  daemon.run();
  return exit_with::kDone;
}

int decide(const Arguments& arguments) {
  int exit_code = exit_with::kDone;
  const std::optional<Loaded> loaded = load(with_bare_policies(arguments.source), exit_code);
  return loaded ? decide_files(loaded->config, loaded->parts, arguments.files, arguments.summary) : exit_code;
}

int migrate(const Arguments& arguments) { return migrate_file(arguments.files[0]); }

int keep(const Arguments& arguments) { return keep_traces(arguments.keep); }

int replay(const Arguments& arguments) {
  int exit_code = exit_with::kDone;
  const std::optional<Loaded> loaded = load(with_bare_policies(arguments.source), exit_code);
  return loaded ? replay_journal(loaded->config, loaded->parts, arguments.journal, arguments.last) : exit_code;
}

int query(const Arguments& arguments) { return query_traces(arguments.query); }

// Takes the value of a flag; returns what is wrong with it, "" if nothing is.
std::string take(Arguments& out, std::string_view flag, const std::string& value) {
  const auto wants = [&](std::string_view what) { return fmt::format("{} wants {}, got '{}'", flag, what, value); };
  if (flag == "--config") {
    out.source.path = value;
  } else if (flag == "--set") {
    if (value.find('=') == std::string::npos) return wants("KEY=VALUE");
    out.source.overrides.push_back(value);
  } else if (flag == "--span-bytes") {
    const std::optional<std::uint64_t> bytes = parse_bytes(value);
    if (!bytes || *bytes < 1 || *bytes > kSpanBytesMax) return wants("1 byte to 1GiB");
    out.traffic.span_bytes = *bytes;
    out.of_rate = true;
  } else if (flag == "--store") {
    out.query.store = value;
  } else if (flag == "--trace") {
    out.query.trace_id = value;
  } else if (flag == "--since" || flag == "--last") {
    const std::optional<Duration> since = parse_duration(value);
    if (!since || *since <= Duration::zero()) return wants("a duration such as 1h or 90m");
    out.query.since = out.keep.since = out.last = *since;
  } else if (flag == "--journal") {
    out.journal = out.query.journal = value;
  } else if (flag == "--web") {
    out.keep.web = value;
  } else if (flag == "--reason") {
    out.keep.reason = value;
  } else if (flag == "--condition") {
    out.keep.condition = value;
  } else if (flag == "--format") {
    if (value != "table" && value != "json" && value != "otlp") return wants("table, json or otlp");
    out.query.format = value;
  } else {
    const std::optional<std::uint64_t> number = parse_bytes(value);
    if (!number || *number < 1 || *number > kNumberMax) return wants("a number from 1 to 1000000000");
    if (flag == "--rate") out.traffic.spans_per_second = static_cast<double>(*number);
    if (flag == "--trace-spans") out.traffic.trace_spans = *number;
    if (flag == "--limit") out.query.limit = out.keep.limit = *number;
    out.of_rate |= flag == "--trace-spans";
  }
  return "";
}

Arguments parse(const Command& command, int argc, char** argv) {
  Arguments out;
  bool only_files = false;
  for (int i = 2; i < argc && out.wrong.empty() && !out.help; ++i) {
    std::string_view flag = argv[i];
    if (only_files || flag == "-" || !flag.starts_with('-')) {
      out.files.emplace_back(flag);
      continue;
    }
    only_files = flag == "--";
    out.help = flag == "--help" || flag == "-h";
    if (only_files || out.help) continue;
    const auto equals = flag.find('=');
    const std::string_view name = flag.substr(0, equals);
    const auto known =
        std::find_if(command.flags.begin(), command.flags.end(), [&](const Flag& one) { return one.name == name; });
    std::optional<std::string> value;
    if (equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
    } else if (known != command.flags.end() && !known->value.empty() && i + 1 < argc) {
      value = argv[++i];
    }
    if (known == command.flags.end()) {
      out.wrong = fmt::format("{} has no flag '{}'", command.name, name);
    } else if (known->value.empty() == value.has_value()) {
      out.wrong = fmt::format("{} wants {} value", name, value ? "no" : "a");
    } else if (value) {
      out.wrong = take(out, name, *value);
    } else {
      (name == "--strict" ? out.strict : name == "--again" ? out.keep.again : out.summary) = true;
    }
  }
  return out;
}

// What is wrong with the files and flags taken together; "" if nothing is. run and check take their one file as the
// configuration.
std::string settle(const Command& command, Arguments& out) {
  if (command.name == "migrate")
    return out.files.size() == 1 ? "" : "migrate wants one file, the configuration of a Collector, or -";
  if (command.name == "query") {
    if (out.files.size() > 1) return fmt::format("query wants one query, got also '{}'", out.files.back());
    if (!out.files.empty()) out.query.traceql = out.files[0];
    return wrong_with(out.query);
  }
  if (command.name == "keep") {
    out.keep.ids = out.files;
    return wrong_with(out.keep);
  }
  if (command.name == "replay") {
    if (out.journal.empty()) return "replay wants --journal DIR";
    if (out.source.path.empty()) return "replay wants --config FILE";
    return out.files.empty() ? "" : fmt::format("replay takes no files, got '{}'", out.files.front());
  }
  if (command.name == "decide") {
    if (out.source.path.empty()) return "decide wants --config FILE";
    return out.files.empty() ? "decide wants files of spans, or - for standard input" : "";
  }
  if (out.source.path.empty() && out.files.size() == 1) {
    out.source.path = out.files[0];
  } else if (!out.files.empty()) {
    return fmt::format("{} wants one configuration, got also '{}'", command.name, out.files.back());
  }
  if (out.source.path.empty()) return fmt::format("{} wants a configuration: --config FILE", command.name);
  if (out.of_rate && out.traffic.spans_per_second == 0) return "--span-bytes and --trace-spans say more of --rate";
  return "";
}

}  // namespace

int run_cli(int argc, char** argv) {
  const std::string_view name = argc < 2 ? "" : argv[1];
  if (name.empty()) return usage("expected a command", help_text(commands()));
  if (name == "--help" || name == "-h" || name == "help") {
    fmt::print("{}", help_text(commands()));
    return exit_with::kDone;
  }
  if (name == "--version" || name == "version") {
    fmt::print("tailgate {} (commit {}, {})\n", build_version(), build_commit(), build_compiler());
    return exit_with::kDone;
  }
  if (name == "--man" || name == "--completion") {
    fmt::print("{}", name == "--man" ? man_page(commands()) : bash_completion(commands()));
    return exit_with::kDone;
  }
  const auto command =
      std::find_if(commands().begin(), commands().end(), [&](const Command& one) { return one.name == name; });
  if (command == commands().end()) return usage(fmt::format("unknown command '{}'", name), help_text(commands()));
  Arguments arguments = parse(*command, argc, argv);
  if (arguments.help) {
    fmt::print("{}", help_text(*command));
    return exit_with::kDone;
  }
  if (arguments.wrong.empty()) arguments.wrong = settle(*command, arguments);
  if (!arguments.wrong.empty()) return usage(arguments.wrong, help_text(*command));
  return command->run(arguments);
}

}  // namespace tailgate
