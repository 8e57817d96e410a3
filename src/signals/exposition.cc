// SPDX-License-Identifier: Apache-2.0
#include "signals/exposition.h"

#include "base/invariant.h"
#include "codec/json_text.h"

namespace tailgate {

std::string_view Exposition::content_type() const {
  return open_metrics_ ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}

void Exposition::family(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  const std::string_view suffix = type == MetricType::kCounter && !open_metrics_ ? "_total" : "";
  const std::string_view word = type == MetricType::kCounter ? "counter"
                                : type == MetricType::kGauge ? "gauge"
                                                             : "histogram";
  for (const auto& [what, text] : {std::pair("# HELP ", help), std::pair("# TYPE ", word)}) {
    out_ += what;
    out_ += name;
    out_ += suffix;
    out_ += ' ';
    out_ += text;
    out_ += '\n';
  }
}

void Exposition::send_piece() {
  wanted_ = wanted_ && send_(out_);
  out_.clear();
}

void Exposition::sample(std::string_view suffix, std::string_view labels, std::string_view le, std::string_view value) {
  if (out_.size() >= kPiece && send_) send_piece();
  out_ += name_;
  out_ += suffix;
  if (!labels.empty() || !le.empty()) {
    out_ += '{';
    out_ += labels;
    if (!le.empty()) {
      if (!labels.empty()) out_ += ',';
      out_ += "le=\"";
      out_ += le;
      out_ += '"';
    }
    out_ += '}';
  }
  out_ += ' ';
  out_ += value;
  out_ += '\n';
}

void Exposition::counter(std::string_view labels, std::uint64_t value) {
  std::string text;
  append_number(text, value);
  sample("_total", labels, "", text);
}

void Exposition::histogram(std::string_view labels, std::span<const double> bounds,
                           std::span<const std::uint64_t> counts, double sum,
                           const std::map<std::size_t, std::string>* exemplars) {
  INVARIANT(counts.size() == bounds.size() + 1);
  std::uint64_t total = 0;
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    text.clear();
    append_number(text, total);
    sample("_bucket", labels, i < bounds.size() ? number_text(bounds[i], open_metrics_) : "+Inf", text);
    if (exemplars == nullptr || !open_metrics_) continue;
    if (const auto one = exemplars->find(i); one != exemplars->end()) out_.insert(out_.size() - 1, one->second);
  }
  sample("_sum", labels, "", number_text(sum, false));
  sample("_count", labels, "", text);
}

std::string Exposition::take() {
  if (open_metrics_) out_ += "# EOF\n";
  return std::move(out_);
}

bool Exposition::end() {
  if (open_metrics_) out_ += "# EOF\n";
  send_piece();
  return wanted_;
}

OpenMetrics wants_open_metrics(std::string_view accept) {
  return accept.find("application/openmetrics-text") == std::string_view::npos ? OpenMetrics::kNo : OpenMetrics::kYes;
}

std::string number_text(double value, bool as_float) {
  std::string out;
  append_number(out, value);
  if (as_float && out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

}  // namespace tailgate
