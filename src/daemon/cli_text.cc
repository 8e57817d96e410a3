// SPDX-License-Identifier: Apache-2.0
#include "daemon/cli_text.h"

#include <fmt/format.h>

#include "base/version.h"

namespace tailgate {
namespace {

struct ExitCode {
  std::string_view code, about;
};
constexpr ExitCode kExitCodes[] = {{"0", "done"},
                                   {"1", "the input was judged bad"},
                                   {"2", "wrong usage"},
                                   {"3", "cannot bind or open"},
                                   {"4", "nothing found (query, keep, replay)"},
                                   {"128 + signal", "after a second signal"}};

std::string exit_codes() {
  std::string out = "Exit codes:";
  for (const ExitCode& one : kExitCodes) {
    if (&one != kExitCodes) out += ',';
    out += fmt::format(" {} {}", one.code, one.about);
  }
  return out + ".\n";
}

// Text of a manual page: a backslash, and a dot or quote that would begin a macro.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string flag_words(const Flag& flag) {
  return flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value);
}

}  // namespace

std::string help_text(const std::vector<Command>& commands) {
  std::string out = "tailgate: a trace collector with tail-based sampling\n\n";
  for (const Command& c : commands) out += fmt::format("  tailgate {:<8}{:<15} {}\n", c.name, c.arguments, c.about);
  out += "\n";
  for (const Command& c : commands) out += fmt::format("  {}\n", c.example);
  out +=
      "\n  tailgate COMMAND --help    the flags of a command\n  tailgate --version\n"
      "  tailgate --man             the manual page\n  tailgate --completion      for bash\n\n";
  return out += exit_codes();
}

std::string help_text(const Command& command) {
  std::string out = fmt::format("tailgate {}{} {}\n\n  {}\n\n", command.name, command.flags.empty() ? "" : " [FLAGS]",
                                command.arguments, command.about);
  for (const Flag& flag : command.flags) out += fmt::format("  {:<22} {}\n", flag_words(flag), flag.about);
  out += fmt::format("  {:<22} {}\n\nExample: {}\n\n", command.arguments, command.files, command.example);
  return out += exit_codes();
}

std::string man_page(const std::vector<Command>& commands) {
  std::string out = fmt::format(".TH TAILGATE 1 \"\" \"tailgate {}\"\n", build_version());
  out += ".SH NAME\ntailgate \\- a trace collector with tail-based sampling\n.SH SYNOPSIS\n";
  for (const Command& c : commands) {
    out += fmt::format(".B tailgate {}\n", c.name);
    if (!c.flags.empty()) out += "[FLAGS]\n";
    if (!c.arguments.empty()) out += roff(c.arguments) + "\n";
    out += ".br\n";
  }
  out += ".B tailgate \\-\\-version | \\-\\-help\n.SH COMMANDS\n";
  for (const Command& c : commands) {
    out += fmt::format(".SS {}\n{}\n", c.name, roff(c.about));
    for (const Flag& flag : c.flags) out += fmt::format(".TP\n.B {}\n{}\n", roff(flag_words(flag)), roff(flag.about));
    if (!c.arguments.empty()) out += fmt::format(".TP\n.B {}\n{}\n", roff(c.arguments), roff(c.files));
    out += fmt::format(".PP\nExample:\n.PP\n.RS\n{}\n.RE\n", roff(c.example));
  }
  out += ".SH EXIT STATUS\n";
  for (const ExitCode& one : kExitCodes) out += fmt::format(".TP\n.B {}\n{}\n", one.code, one.about);
  return out +=
         ".SH FILES\n.TP\n.I /etc/tailgate/tailgate.yaml\nthe configuration that the service runs with\n.TP\n"
         ".I /var/lib/tailgate\nwhat the service writes\n.SH SEE ALSO\n/usr/share/doc/tailgate/\n";
}

// Files complete as files; a flag's value in capitals is FILE or DIR, or nothing that could be proposed.
std::string bash_completion(const std::vector<Command>& commands) {
  std::string names, flags, values;
  for (const Command& c : commands) {
    names += fmt::format("{} ", c.name);
    flags += fmt::format("    {}) flags='", c.name);
    for (const Flag& flag : c.flags) flags += fmt::format("{} ", flag.name);
    flags += "--help' ;;\n";
    for (const Flag& flag : c.flags) {
      if (flag.value.empty() || values.find(fmt::format("    {})", flag.name)) != std::string::npos) continue;
      const std::string_view how = flag.value == "FILE" ? "-f" : flag.value == "DIR" ? "-d" : "";
      values += how.empty()
                    ? fmt::format("    {}) return ;;\n", flag.name)
                    : fmt::format("    {}) COMPREPLY=($(compgen {} -- \"$word\")); return ;;\n", flag.name, how);
    }
  }
  return fmt::format(R"(# bash completion of tailgate
_tailgate() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} flags=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{}--version --help --man --completion' -- "$word"))
    return
  fi
  case $before in
{}  esac
  case ${{COMP_WORDS[1]}} in
{}  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi
}}
complete -o filenames -F _tailgate tailgate
)",
                     names, values, flags);
}

}  // namespace tailgate
