// SPDX-License-Identifier: Apache-2.0
#include "telemetry/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

namespace tailgate {
namespace {

std::string read_file(const char* path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<std::uint64_t> number_at(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  line.remove_prefix(name_end + 1);
  std::array<std::uint64_t, 25> fields{};  // by the numbers of proc(5)
  for (std::size_t field = 3; field < fields.size(); ++field) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    if (field < 14) continue;  // the state is a letter, some of the others are negative
    const std::optional<std::uint64_t> value = number_at(word);
    // Priority and niceness may be negative.
    if (!value && field != 18 && field != 19) return std::nullopt;
    fields[field] = value.value_or(0);
  }
  return ProcessStat{fields[14] + fields[15], fields[20], fields[22], fields[23], fields[24]};
}

std::optional<std::uint64_t> parse_boot_time(std::string_view stat) {
  const std::string_view key = "\nbtime ";
  const std::size_t at = stat.find(key);
  return at == std::string_view::npos ? std::nullopt : number_at(stat.substr(at + key.size()));
}

ProcessMetrics::ProcessMetrics() : boot_unix_seconds_(parse_boot_time(read_file("/proc/stat"))) {}

void ProcessMetrics::collect(MetricWriter& out) const {
  if (const auto stat = parse_process_stat(read_file("/proc/self/stat"))) {
    const double ticks = number(sysconf(_SC_CLK_TCK));
    out.add(metric::kProcessCpu, {}, number(stat->cpu_ticks) / ticks);
    out.add(metric::kProcessThreads, {}, number(stat->threads));
    out.add(metric::kProcessVirtual, {}, number(stat->virtual_bytes));
    out.add(metric::kProcessResident, {}, number(stat->resident_pages) * number(sysconf(_SC_PAGE_SIZE)));
    if (boot_unix_seconds_)
      out.add(metric::kProcessStart, {}, number(*boot_unix_seconds_) + number(stat->start_ticks) / ticks);
  }
  std::error_code error;
  std::size_t open = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error))
    ++open;
  if (!error && open != 0) out.add(metric::kProcessOpenFds, {}, number(open - 1));  // but for this look's own
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) out.add(metric::kProcessMaxFds, {}, number(files.rlim_cur));
}

}  // namespace tailgate
