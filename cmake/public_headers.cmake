# Which headers a user may include: all but these, which are parts of how a folder does its work.
# Only public ones are installed and stand in the reference; tests/package/installed_headers.sh
# proves that they do without the others.
set(radgpt_internal_headers
  kernels/gemm/algorithm_file.h kernels/gemm/gemm_shape.h
  kernels/lora_linear/bordered_rows_cpu.h kernels/lora_linear/row_parts_cpu.h
  kernels/nf4/nf4_code.h
  kernels/primitives/checks.h kernels/primitives/lanes.h kernels/primitives/row_loops.h
  kernels/primitives/thin_product.h kernels/primitives/thin_product_bfloat16.h
  kernels/primitives/tile_product.h
  kernels/segment_attention/attention_head_cpu.h kernels/segment_attention/attention_launch.h
  kernels/segment_attention/attention_problem_cpu.h
  kernels/segment_attention/attention_rows_cpu.h
  libradgpt/base/system_call.h libradgpt/checkpoint/checkpoint_manifest.h
  libradgpt/config/faults.h libradgpt/config/field_text.h libradgpt/config/overrides.h
  libradgpt/config/reader.h libradgpt/config/rules.h
  libradgpt/data/near_duplicates.h libradgpt/data/simulate_case.h libradgpt/data/simulate_style.h
  libradgpt/distributed/device_backend.h libradgpt/distributed/network_address.h
  libradgpt/distributed/peer_messages.h libradgpt/distributed/peer_watch.h libradgpt/distributed/rendezvous.h
  libradgpt/eval/metrics/clinical_lexicon.h libradgpt/eval/metrics/code_points.h
  libradgpt/eval/metrics/measurements.h libradgpt/eval/metrics/ngram_index.h
  libradgpt/eval/metrics/sentence_words.h libradgpt/eval/metrics/word_lines.h
  libradgpt/eval/task_parser.h
  libradgpt/export/chat_files.h libradgpt/export/exported_tensor.h libradgpt/export/gguf_model.h
  libradgpt/export/llama.h libradgpt/export/staged_folder.h
  libradgpt/formats/folder_file.h libradgpt/formats/json_description.h
  libradgpt/formats/pickle.h libradgpt/formats/pickle_opcodes.h
  libradgpt/formats/pickled_tensors.h libradgpt/formats/protobuf.h
  libradgpt/formats/safetensors_header.h libradgpt/formats/weight_set.h
  libradgpt/formats/zip_directory.h
  libradgpt/generate/prompt_pack.h
  libradgpt/lora/adapter_tensors.h libradgpt/lora/principal_part.h libradgpt/lora/row_norms.h
  libradgpt/model/embedding_noise.h libradgpt/model/random_tensor.h libradgpt/model/row_adapters.h
  libradgpt/model/sharded_layers.h
  libradgpt/ops/attention_input.h libradgpt/ops/bordered_product.h libradgpt/ops/bordered_rows.h
  libradgpt/ops/composite_node.h libradgpt/ops/device_kernel_table.h libradgpt/ops/dropout_mask.h
  libradgpt/ops/input_source.h libradgpt/ops/matrix_product.h libradgpt/ops/run_kernel.h
  libradgpt/ops/torch_workers.h libradgpt/ops/visit_type.h
  libradgpt/train/program_digest.h libradgpt/train/run_identity.h)

# Sets `result` to the public headers of a folder of the tree (libradgpt, kernels), as include lines
# name them.
function(radgpt_public_headers folder result)
  get_filename_component(root ${CMAKE_CURRENT_FUNCTION_LIST_DIR} DIRECTORY)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${root} ${root}/${folder}/*.h)
  foreach(header IN LISTS radgpt_internal_headers)
    if(header MATCHES "^${folder}/" AND NOT header IN_LIST headers)
      message(FATAL_ERROR "cmake/public_headers.cmake: no header ${header}")
    endif()
  endforeach()
  list(REMOVE_ITEM headers ${radgpt_internal_headers})
  set(${result} ${headers} PARENT_SCOPE)
endfunction()

# Installs them below include/radgpt, under the same names.
function(radgpt_install_public_headers folder)
  get_filename_component(root ${CMAKE_CURRENT_FUNCTION_LIST_DIR} DIRECTORY)
  radgpt_public_headers(${folder} headers)
  foreach(header IN LISTS headers)
    get_filename_component(place ${header} DIRECTORY)
    install(FILES ${root}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/radgpt/${place})
  endforeach()
endfunction()
