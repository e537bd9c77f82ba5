#include <cublasLt.h>
#include <cuda_runtime.h>

#include <array>
#include <bit>
#include <limits>
#include <map>
#include <type_traits>
#include <vector>

#include "kernels/gemm/algorithm_file.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_shape.h"
#include "libradgpt/base/error.h"

namespace radgpt::kernels {

namespace {

constexpr size_t kWorkspaceBytes = 32 << 20;
constexpr int kCandidates = 8;
constexpr int kTimedRuns = 3;
/// Packs bring a new number of rows at nearly every step.
constexpr size_t kMostPlans = 1024;

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(ErrorKind::kEnvironment, "gemm: ", what, " failed: ", cublasLtGetStatusName(status));
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  fail(ErrorKind::kEnvironment, "gemm: ", what, " failed: ", cudaGetErrorString(status));
}

/// What ends the handles of CUDA and cuBLASLt, which are pointers.
struct End {
  void operator()(cublasLtHandle_t handle) const { cublasLtDestroy(handle); }
  void operator()(cublasLtMatmulDesc_t handle) const { cublasLtMatmulDescDestroy(handle); }
  void operator()(cublasLtMatrixLayout_t handle) const { cublasLtMatrixLayoutDestroy(handle); }
  void operator()(cublasLtMatmulPreference_t handle) const {
    cublasLtMatmulPreferenceDestroy(handle);
  }
  void operator()(cudaEvent_t handle) const { cudaEventDestroy(handle); }
  void operator()(void* memory) const { cudaFree(memory); }
};
template <typename Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, End>;

using LtHandle = Owned<cublasLtHandle_t>;
using Description = Owned<cublasLtMatmulDesc_t>;
using Layout = Owned<cublasLtMatrixLayout_t>;
using Preference = Owned<cublasLtMatmulPreference_t>;
using Event = Owned<cudaEvent_t>;
using DeviceMemory = Owned<void*>;

DeviceMemory allocate(size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "cudaMalloc");
  return DeviceMemory(memory);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return Event(event);
}

/// A row-major matrix as cuBLASLt sees it, which counts columns first: its transpose.
Layout make_layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, columns, rows, stride),
        "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

Description make_description(const GemmShape& shape) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  Description description(made);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, bool transposed) {
    const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(made, attribute, &operation, sizeof(operation)),
          "cublasLtMatmulDescSetAttribute");
  };
  // d^T = op(b)^T op(a)^T: our b is its first factor.
  set(CUBLASLT_MATMUL_DESC_TRANSA, shape.b_transposed != 0);
  set(CUBLASLT_MATMUL_DESC_TRANSB, shape.a_transposed != 0);
  return description;
}

Preference make_preference() {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  Preference preference(made);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
  // Parts of a sum over k are kept in fp32, not in the type of d, and added in a fixed order.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  constexpr uint32_t kAlignment = 16;
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kAlignment);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kAlignment);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kAlignment);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kAlignment);
  return preference;
}

/// All that cuBLASLt needs to know of a shape.
struct Plan {
  Description description;
  Layout a, b, d;
  cublasLtMatmulAlgo_t algorithm{};

  explicit Plan(const GemmShape& s)
      : description(make_description(s)),
        a(make_layout(CUDA_R_16BF, s.a_transposed ? s.k : s.m, s.a_transposed ? s.m : s.k,
                      s.a_stride)),
        b(make_layout(CUDA_R_16BF, s.b_transposed ? s.n : s.k, s.b_transposed ? s.k : s.n,
                      s.b_stride)),
        d(make_layout(s.output_bytes == 2 ? CUDA_R_16BF : CUDA_R_32F, s.m, s.n, s.d_stride)) {}
};

std::string device_name() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return concat(properties.name, ", cuBLASLt ", cublasLtGetVersion());
}

LtHandle make_handle() {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate");
  return LtHandle(handle);
}

}  // namespace

struct DeviceGemm::State {
  AlgorithmFile file;
  LtHandle handle = make_handle();
  DeviceMemory workspace = allocate(kWorkspaceBytes);
  std::map<GemmShape, Plan> plans;

  explicit State(const std::string& path) : file(path, device_name()) {}

  template <typename Out>
  void run(const Gemm<BFloat16, Out>& call, Stream stream) {
    check_gemm(call);
    if (call.m == 0 || call.n == 0) return;
    check(multiply(plan_for(call, stream), call, call.d, stream), "cublasLtMatmul");
  }

  /// d is given apart, so that trials leave that of the call alone.
  template <typename Out>
  cublasStatus_t multiply(const Plan& plan, const Gemm<BFloat16, Out>& call, void* d,
                          Stream stream) {
    return cublasLtMatmul(handle.get(), plan.description.get(), &call.alpha, call.b.data,
                          plan.b.get(), call.a.data, plan.a.get(), &call.beta, d, plan.d.get(), d,
                          plan.d.get(), &plan.algorithm, workspace.get(), kWorkspaceBytes, stream);
  }

  template <typename Out>
  const Plan& plan_for(const Gemm<BFloat16, Out>& call, Stream stream) {
    const GemmShape shape = shape_of(call);
    if (const auto found = plans.find(shape); found != plans.end()) return found->second;
    Plan plan(shape);
    if (!take_from_file(shape, plan)) {
      const auto candidates = best_candidates(shape, plan);
      plan.algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(candidates.front());
      if (file.exists()) {
        choose_fastest(candidates, call, plan, stream);
        file.add(shape, std::bit_cast<AlgorithmWords>(plan.algorithm));
      }
    }
    if (plans.size() == kMostPlans) plans.clear();
    return plans.emplace(shape, std::move(plan)).first->second;
  }

  /// False if the file lacks the shape, or cuBLASLt refuses what it says.
  bool take_from_file(const GemmShape& shape, Plan& plan) {
    const auto words = file.find(shape);
    if (!words) return false;
    plan.algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(*words);
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoCheck(handle.get(), plan.description.get(), plan.b.get(), plan.a.get(),
                                plan.d.get(), plan.d.get(), &plan.algorithm, &result);
    return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kWorkspaceBytes;
  }

  std::vector<AlgorithmWords> best_candidates(const GemmShape& shape, const Plan& plan) {
    const Preference preference = make_preference();
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> results{};
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle.get(), plan.description.get(), plan.b.get(),
                                         plan.a.get(), plan.d.get(), plan.d.get(), preference.get(),
                                         kCandidates, results.data(), &count),
          "cublasLtMatmulAlgoGetHeuristic");
    std::vector<AlgorithmWords> candidates;
    for (int i = 0; i < count; ++i) {
      if (results[i].state == CUBLAS_STATUS_SUCCESS)
        candidates.push_back(std::bit_cast<AlgorithmWords>(results[i].algo));
    }
    if (candidates.empty()) {
      fail(ErrorKind::kEnvironment, "gemm: cuBLASLt has no algorithm for m ", shape.m, ", n ",
           shape.n, ", k ", shape.k);
    }
    return candidates;
  }

  template <typename Out>
  void choose_fastest(const std::vector<AlgorithmWords>& candidates,
                      const Gemm<BFloat16, Out>& call, Plan& plan, Stream stream) {
    const size_t bytes = static_cast<size_t>(call.m) * call.d_stride * sizeof(Out);
    const DeviceMemory d = allocate(bytes);
    check(cudaMemsetAsync(d.get(), 0, bytes, stream), "cudaMemsetAsync");
    float least = std::numeric_limits<float>::infinity();
    AlgorithmWords fastest = candidates.front();
    for (const AlgorithmWords& candidate : candidates) {
      plan.algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(candidate);
      const float milliseconds = time_of(call, plan, d.get(), stream);
      if (milliseconds < least) {
        least = milliseconds;
        fastest = candidate;
      }
    }
    plan.algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(fastest);
  }

  /// Infinity if the algorithm of `plan` does not run.
  template <typename Out>
  float time_of(const Gemm<BFloat16, Out>& call, const Plan& plan, void* d, Stream stream) {
    const Event begin = make_event(), end = make_event();
    if (multiply(plan, call, d, stream) != CUBLAS_STATUS_SUCCESS) {  // to warm up
      return std::numeric_limits<float>::infinity();
    }
    check(cudaEventRecord(begin.get(), stream), "cudaEventRecord");
    for (int run = 0; run < kTimedRuns; ++run) {
      check(multiply(plan, call, d, stream), "cublasLtMatmul");
    }
    check(cudaEventRecord(end.get(), stream), "cudaEventRecord");
    check(cudaEventSynchronize(end.get()), "cudaEventSynchronize");
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "cudaEventElapsedTime");
    return milliseconds;
  }
};

DeviceGemm::DeviceGemm(const std::string& algorithm_file)
    : state_(std::make_unique<State>(algorithm_file)) {}
DeviceGemm::~DeviceGemm() = default;

void DeviceGemm::run(const Gemm<BFloat16, BFloat16>& call, Stream stream) {
  state_->run(call, stream);
}
void DeviceGemm::run(const Gemm<BFloat16, float>& call, Stream stream) {
  state_->run(call, stream);
}

}  // namespace radgpt::kernels
