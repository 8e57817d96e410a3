// SPDX-License-Identifier: Apache-2.0
#include "base/input.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace tailgate {

Result<std::string> read_input(const std::string& name) {
  std::FILE* const file = name == "-" ? stdin : std::fopen(name.c_str(), "re");
  const auto cannot = [&] {
    return fail(ErrorKind::kIo, fmt::format("cannot open {}: {}", name, std::strerror(errno)));
  };
  if (file == nullptr) return cannot();
  std::string text;
  char block[1 << 16];
  std::size_t n = 0;
  while ((n = std::fread(block, 1, sizeof block, file)) > 0) text.append(block, n);
  const bool bad = std::ferror(file) != 0;  // a folder opens, and cannot be read
  Result<std::string> failed = bad ? Result<std::string>(cannot()) : Result<std::string>();
  if (file != stdin) std::fclose(file);
  if (bad) return failed;
  return text;
}

}  // namespace tailgate
