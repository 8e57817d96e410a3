// SPDX-License-Identifier: Apache-2.0
#include "head/config.h"

#include <fmt/format.h>

#include "config/file_watch.h"

namespace tailgate {
namespace {

constexpr double kDefaultProbability = 0.001;  // Jaeger's

double read_probability(const ConfigNode& node, const char* key, double otherwise) {
  const double out = node.number(key, otherwise);
  if (out >= 0 && out <= 1) return out;
  node.error(key, "expected a probability from 0 to 1");
  return otherwise;
}

StrategiesPtr read_file(const ConfigNode& node, const RemoteSamplingConfig& config, const std::string& main_file,
                        const LoadOptions& options, double default_probability) {
  const auto nothing = [&] { return std::make_shared<const Strategies>(Strategy{.probability = default_probability}); };
  if (config.strategies_file.empty()) return nothing();
  const std::vector<std::string> files = expand_glob(config.strategies_file, main_file);
  if (files.size() != 1) {
    node.error("strategies_file", fmt::format("expected one file, found {}", files.size()));
    return nothing();
  }
  LoadOptions of_file = options;
  of_file.overrides.clear();
  of_file.references = false;  // names of operations may hold a dollar
  const Result<ConfigDocument> document = load_config_file(files.front(), of_file);
  if (document) return std::make_shared<const Strategies>(read_strategies(document->root, default_probability));
  if (document.error().kind == ErrorKind::kIo) {
    node.error("strategies_file", fmt::format("expected a file that can be read ({})", document.error().text));
  } else {
    options.issues->errors.push_back({IssueKind::kUnreadable, files.front(), 1, 1, "", document.error().text, ""});
  }
  return nothing();
}

}  // namespace

RemoteSamplingConfig read_remote_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options) {
  RemoteSamplingConfig out;
  const double default_probability = read_probability(node, "default_sampling_probability", kDefaultProbability);
  out.strategies_file = node.text("strategies_file");
  out.strategies = read_file(node, out, path, options, default_probability);
  return out;
}

}  // namespace tailgate
