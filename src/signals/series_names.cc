// SPDX-License-Identifier: Apache-2.0
#include "signals/series_names.h"

namespace tailgate {

SeriesNames::SeriesNames(std::size_t series_max) : series_max_(series_max) { series_.emplace_back(); }

// Labels, the map's node and bucket, and what threads have given back.
std::size_t SeriesNames::bytes_max(std::size_t series_max, const BlockShape& shape) {
  return series_max * (kLabelBytesMean + sizeof(Series) + 64 + shape.words() * 8);
}

SeriesId SeriesNames::find_or_add(std::string_view labels, bool& fresh) {
  fresh = false;
  if (const auto found = by_labels_.find(labels); found != by_labels_.end()) return found->second;
  if (by_labels_.size() == series_max_ || label_bytes_ + labels.size() > series_max_ * kLabelBytesMean)
    return kOverflowSeries;
  SeriesId series = end();
  if (free_.empty()) {
    series_.emplace_back();
  } else {
    series = free_.back();
    free_.pop_back();
  }
  series_[series].used = true;
  series_[series].labels = labels;
  label_bytes_ += labels.size();
  by_labels_.emplace(series_[series].labels, series);
  fresh = true;
  return series;
}

void SeriesNames::remove(SeriesId series) {
  Series& gone = series_[series];
  by_labels_.erase(gone.labels);
  label_bytes_ -= gone.labels.size();
  gone = Series();
  free_.push_back(series);
}

}  // namespace tailgate
