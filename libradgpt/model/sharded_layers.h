#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "libradgpt/distributed/communicator.h"
#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// Rows [first, first + rows.size(0)) of a weight, as far as they are kept here.
struct KeptRows {
  int64_t first = 0;
  at::Tensor rows;
};

/// The frozen linears of a model's layers, divided over the ranks by rows: of [out, in] each rank
/// keeps ceil(out / ranks) rows, the last ones fewer. A layer is made whole from all ranks' rows
/// before it computes and given up when another is entered; while it computes, the next one's rows
/// are on their way. So there are two whole layers at a time: one in its weights, and one in the
/// buffer it is gathered into.
///
/// A weight stays the same tensor, and so may be held by an autograd graph; only its memory comes
/// and goes. To read it without memory throws. All layers have the same memory in turn: allocated
/// anew for each, between activations that stay, it would leave gaps.
///
/// Gathers are verbs of the communicator, so all ranks must enter the same layers in the same
/// order. Forward passes do so from the first layer to the last, and backward passes, by hooks in
/// the graph, from the last to the lowest that has gradients; both are functions of the adapters'
/// layout alone, never of what is computed. The layer that a pass ends with stays whole: it is the
/// one that the backward pass, or the next forward pass, begins with.
class ShardedLayers {
 public:
  using Linears = std::array<BorderedWeight*, 4>;

  /// Gives every linear a storage of its shape without memory, and keeps zeros of this rank's rows.
  /// The layers have equal shapes; they and the communicator outlive this.
  ShardedLayers(Communicator& ranks, std::vector<Linears> layers, const at::TensorOptions& options);

  /// Takes the weights' memory, which is its own.
  ~ShardedLayers();
  ShardedLayers(const ShardedLayers&) = delete;
  ShardedLayers& operator=(const ShardedLayers&) = delete;

  /// This rank's rows of a linear, a view to be written when weights are read.
  KeptRows kept_rows(int layer, int linear) const;
  /// Makes the border of a linear as wide as this, with zeros.
  void make_border(BorderedWeight& weight, int64_t border);

  /// The lowest layer that a backward pass comes to; the number of layers: to none.
  int lowest_with_gradients() const;
  /// Makes a layer whole and starts to gather the one that comes next in such a pass.
  void enter_forward(int layer, int lowest);
  void enter_backward(int layer, int lowest);
  /// Once the backward pass has left the node that made `result`, it enters `layer`.
  void enter_behind(const at::Tensor& result, int layer, int lowest);
  /// Enters all layers as a pass does.
  void join(int lowest);

 private:
  static constexpr int kNone = -1;
  /// Where a linear is within a shard.
  struct Place {
    int64_t begin = 0;
    int64_t rows = 0;  ///< of each rank; the last ones may have fewer
  };

  int size() const { return static_cast<int>(layers_.size()); }
  KeptRows rows_of(const at::Tensor& shard, int linear, int rank) const;
  void enter(int layer, int next);
  void start_gather(int layer);
  void fill(int layer);
  at::Tensor make_memory(size_t linear) const;
  void write_borders(int layer);
  void give_up();

  Communicator& ranks_;
  std::vector<Linears> layers_;
  std::array<Place, 4> places_;
  std::vector<at::Tensor> shards_;    ///< of each layer: its linears' rows one after the other
  std::array<at::Tensor, 4> memory_;  ///< of the linears of the whole layer
  at::Tensor gathered_;               ///< [ranks, elements of a shard]
  int whole_ = kNone;
  int ahead_ = kNone;  ///< on its way into gathered_
  Transfer transfer_;  ///< after gathered_: its destructor waits
};

}  // namespace radgpt
