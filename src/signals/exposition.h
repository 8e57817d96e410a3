// SPDX-License-Identifier: Apache-2.0
// Exposition: text for a scraper, written line by line: the text format 0.0.4 of Prometheus or OpenMetrics 1.0. There
// are too many series on this page for the tree that MetricWriter builds.
//
//   Exposition page(OpenMetrics::kNo);
//   page.family("traces_spanmetrics_calls", MetricType::kCounter, "Spans.");
//   page.counter(R"(service="web")", 12);
//   page.take()
//
// Belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/metrics.h"

namespace tailgate {

enum class OpenMetrics : bool { kNo, kYes };

class Exposition {
 public:
  // Takes a piece of the page; false: nobody wants more of it.
  using Send = std::function<bool(std::string_view)>;
  static constexpr std::size_t kPiece = 64 << 10;

  // With `send` the page goes there as it is written, and no more than a piece of it is held.
  explicit Exposition(OpenMetrics format, Send send = {})
      : open_metrics_(format == OpenMetrics::kYes), send_(std::move(send)) {}

  bool open_metrics() const { return open_metrics_; }
  std::string_view content_type() const;

  // The samples that follow belong to it. A counter's name is given without `_total`.
  void family(std::string_view name, MetricType type, std::string_view help);
  // `labels` are written already: a="b",c="d".
  void counter(std::string_view labels, std::uint64_t value);
  // `counts` has one more than `bounds`: what is over the last. `sum` is in the unit of the bounds. `exemplars`, by
  // bucket, are written behind the buckets as they are; only OpenMetrics has them.
  void histogram(std::string_view labels, std::span<const double> bounds, std::span<const std::uint64_t> counts,
                 double sum, const std::map<std::size_t, std::string>* exemplars = nullptr);

  // Nothing may be written after one of these: the whole page, without `send`; the last piece of it goes, and whether
  // all of it went.
  std::string take();
  bool end();

 private:
  void send_piece();
  void sample(std::string_view suffix, std::string_view labels, std::string_view le, std::string_view value);

  const bool open_metrics_;
  const Send send_;
  bool wanted_ = true;
  std::string name_;
  std::string out_;
};

// What a scraper's Accept header asks for. OpenMetrics only where it is named; Prometheus names it first.
OpenMetrics wants_open_metrics(std::string_view accept);

// A number as both formats take it, in its shortest form; with `as_float` never without a point or exponent.
std::string number_text(double value, bool as_float);

}  // namespace tailgate
