// SPDX-License-Identifier: Apache-2.0
// What the command line says of itself, from one table of its commands: --help, the manual page, completion for bash.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailgate {

struct Arguments;

struct Flag {
  std::string_view name, value, about;  // `value` is "" for one without
};

struct Command {
  std::string_view name;
  std::string_view arguments;  // besides flags
  std::string_view about;
  std::vector<Flag> flags;
  std::string_view files;  // what `arguments` stands for
  std::string_view example;
  int (*run)(const Arguments&);
};

std::string help_text(const std::vector<Command>& commands);
std::string help_text(const Command& command);
// For man(1), in its macros (man(7)).
std::string man_page(const std::vector<Command>& commands);
// Functions for bash, to be read as /usr/share/bash-completion/completions/tailgate.
std::string bash_completion(const std::vector<Command>& commands);

}  // namespace tailgate
