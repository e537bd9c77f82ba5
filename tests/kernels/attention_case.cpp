#include "tests/kernels/attention_case.h"

#include <cmath>

namespace radgpt::kernels {

namespace {

double uniform(uint64_t seed, uint64_t i) {
  return std::ldexp(
             philox({static_cast<uint32_t>(i), 0, 0, 0}, {static_cast<uint32_t>(seed), 0x5EED})[0],
             -31) -
         1.0;
}

template <typename T>
std::vector<T> random_values(int64_t count, uint64_t seed, double size) {
  std::vector<T> values(count);
  for (int64_t i = 0; i < count; ++i) {
    values[i] = T(static_cast<Compute<T>>(size * uniform(seed, i)));
  }
  return values;
}

/// Double, nothing rounded.
struct Exact {
  using Sum = double;
  static double round(double value) { return value; }
};

/// As the unfused chain does it: matrices of scores, probabilities and gradients are T.
template <typename T>
struct Plain {
  using Sum = Compute<T>;
  static Sum round(Sum value) { return static_cast<Sum>(T(value)); }
};

template <typename P>
using Row = std::vector<typename P::Sum>;

template <typename P>
typename P::Sum dot(const typename P::Sum* x, const typename P::Sum* y, int64_t n) {
  typename P::Sum sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

template <typename P, typename T>
class PlainAttention {
  using Sum = typename P::Sum;

 public:
  explicit PlainAttention(const AttentionCase<T>& of)
      : case_(of),
        dim_(of.input.head_dim),
        hidden_(of.hidden()),
        qkv_(of.qkv.begin(), of.qkv.end()),
        d_out_(of.d_out.begin(), of.d_out.end()),
        out_(of.layout.tokens() * hidden_),
        log_sums_(of.input.heads * of.layout.tokens()),
        d_qkv_(qkv_.size()) {
    rotate(qkv_, Sum{1});
    for (const Segment& segment : of.layout.segments) {
      for (int64_t head = 0; head < of.input.heads; ++head) attend(segment, head);
    }
    rotate(d_qkv_, Sum{-1});
  }

  Arrays arrays() const {
    return {{"out", {out_.begin(), out_.end()}},
            {"log_sums", {log_sums_.begin(), log_sums_.end()}},
            {"d_qkv", {d_qkv_.begin(), d_qkv_.end()}}};
  }

 private:
  int64_t at(int64_t token, int64_t head, int64_t part) const {
    return (3 * token + part) * hidden_ + head * dim_;
  }

  /// q and k of all tokens by their angles times `direction`.
  void rotate(Row<P>& qkv, Sum direction) const {
    if (case_.cosines.empty()) return;
    const int64_t half = dim_ / 2;
    for (int64_t token = 0; token < case_.layout.tokens(); ++token) {
      for (int64_t head = 0; head < 2 * case_.input.heads; ++head) {  // k follows q
        for (int64_t i = 0; i < half; ++i) {
          Sum& x = qkv[at(token, head, 0) + i];
          Sum& y = qkv[at(token, head, 0) + half + i];
          const int64_t angle = case_.layout.positions[token] * half + i;
          const Sum cosine = case_.cosines[angle], sine = direction * case_.sines[angle];
          const Sum turned = P::round(x * cosine - y * sine);
          y = P::round(y * cosine + x * sine);
          x = turned;
        }
      }
    }
  }

  void attend(const Segment& segment, int64_t head) {
    std::vector<int64_t> seen;
    for (int32_t j = segment.prefix_begin; j < segment.prefix_end; ++j) seen.push_back(j);
    const size_t prefix = seen.size();
    for (int32_t j = segment.begin; j < segment.end; ++j) seen.push_back(j);
    Row<P> d_keys(seen.size() * dim_), d_values(seen.size() * dim_);
    for (int32_t i = segment.begin; i < segment.end; ++i) {
      const size_t keys = prefix + i - segment.begin + 1;
      attend_query(i, head, {seen.begin(), seen.begin() + keys}, d_keys, d_values);
    }
    for (size_t j = 0; j < seen.size(); ++j) {
      for (int64_t c = 0; c < dim_; ++c) {
        Sum& d_key = d_qkv_[at(seen[j], head, 1) + c];
        Sum& d_value = d_qkv_[at(seen[j], head, 2) + c];
        d_key = P::round(d_key + P::round(d_keys[j * dim_ + c]));
        d_value = P::round(d_value + P::round(d_values[j * dim_ + c]));
      }
    }
  }

  void attend_query(int64_t i, int64_t head, const std::vector<int64_t>& keys, Row<P>& d_keys,
                    Row<P>& d_values) {
    const Sum root = std::sqrt(static_cast<Sum>(dim_));
    const Sum* q = &qkv_[at(i, head, 0)];
    const Sum* d_o = &d_out_[i * hidden_ + head * dim_];
    Row<P> p, d_p;
    for (const int64_t j : keys) {
      const Sum score = P::round(P::round(dot<P>(q, &qkv_[at(j, head, 1)], dim_)) / root);
      const auto distance = static_cast<Sum>(case_.layout.positions[j] - case_.layout.positions[i]);
      p.push_back(score + (case_.slopes.empty() ? 0 : case_.slopes[head]) * distance);
      d_p.push_back(P::round(dot<P>(d_o, &qkv_[at(j, head, 2)], dim_)));
    }
    Sum largest = p[0], sum = 0, mean = 0;
    for (const Sum score : p) largest = std::max(largest, score);
    for (Sum& score : p) sum += score = std::exp(score - largest);
    for (size_t j = 0; j < p.size(); ++j) mean += (p[j] /= sum) * d_p[j];
    log_sums_[head * case_.layout.tokens() + i] = largest + std::log(sum);

    Row<P> out(dim_), d_q(dim_);
    for (size_t j = 0; j < keys.size(); ++j) {
      const Sum* k = &qkv_[at(keys[j], head, 1)];
      const Sum* v = &qkv_[at(keys[j], head, 2)];
      const Sum rounded = P::round(p[j]);
      const Sum d_score = P::round(P::round(p[j] * (d_p[j] - mean)) / root);
      for (int64_t c = 0; c < dim_; ++c) {
        out[c] += rounded * v[c];
        d_q[c] += d_score * k[c];
        d_keys[j * dim_ + c] += d_score * q[c];
        d_values[j * dim_ + c] += rounded * d_o[c];
      }
    }
    for (int64_t c = 0; c < dim_; ++c) {
      out_[i * hidden_ + head * dim_ + c] = P::round(out[c]);
      d_qkv_[at(i, head, 0) + c] = P::round(d_q[c]);
    }
  }

  const AttentionCase<T>& case_;
  int64_t dim_, hidden_;
  Row<P> qkv_, d_out_, out_, log_sums_, d_qkv_;
};

}  // namespace

PackLayout& PackLayout::root(int32_t length) {
  const auto begin = static_cast<int32_t>(positions.size());
  segments.push_back({begin, begin + length, 0, 0});
  for (int32_t i = 0; i < length; ++i) positions.push_back(i);
  return *this;
}

PackLayout& PackLayout::branch(size_t of, int32_t length) {
  const auto begin = static_cast<int32_t>(positions.size());
  const Segment prefix = segments[of];
  segments.push_back({begin, begin + length, prefix.begin, prefix.end});
  for (int32_t i = 0; i < length; ++i) positions.push_back(prefix.length() + i);
  return *this;
}

template <typename T>
AttentionCase<T>::AttentionCase(PackLayout pack, int64_t heads, int64_t head_dim, Bias bias,
                                Rotated rotated)
    : layout(std::move(pack)),
      qkv(random_values<T>(layout.tokens() * 3 * heads * head_dim, 1, 2.0)),
      d_out(random_values<T>(layout.tokens() * heads * head_dim, 2, 1.0)) {
  for (int64_t h = 0; h < (bias == Bias::kAlibi ? heads : 0); ++h) {
    slopes.push_back(std::exp2(-static_cast<float>(h + 1) / 2));
  }
  for (int64_t i = 0; i < (rotated == Rotated::kYes ? layout.tokens() * head_dim / 2 : 0); ++i) {
    const double angle = static_cast<double>(i / (head_dim / 2)) *
                         std::pow(100.0, -2.0 * (i % (head_dim / 2)) / head_dim);
    cosines.push_back(static_cast<float>(std::cos(angle)));
    sines.push_back(static_cast<float>(std::sin(angle)));
  }
  const auto or_null = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
  input = {layout.tokens(),  heads,           head_dim,
           qkv.data(),       or_null(slopes), layout.positions.data(),
           or_null(cosines), or_null(sines)};
}

template <typename T>
Arrays AttentionCase<T>::reference(Arithmetic arithmetic) const {
  if (arithmetic == Arithmetic::kExact) return PlainAttention<Exact, T>(*this).arrays();
  return PlainAttention<Plain<T>, T>(*this).arrays();
}

template struct AttentionCase<float>;
template struct AttentionCase<double>;
template struct AttentionCase<BFloat16>;

}  // namespace radgpt::kernels
