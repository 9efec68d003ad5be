# Installs Ampersand into a fresh folder, builds the consumer against it and runs it.
#   cmake -DBUILD=... -DSOURCE=... -DWORK=... -P run.cmake
function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

file(REMOVE_RECURSE "${WORK}")
step("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix")
step("${CMAKE_COMMAND}" -S "${SOURCE}" -B "${WORK}/build" -G Ninja -DCMAKE_PREFIX_PATH=${WORK}/prefix
     -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} -DCMAKE_BUILD_TYPE=Release)
step("${CMAKE_COMMAND}" --build "${WORK}/build")
step("${WORK}/build/consumer")
if(EXISTS "${WORK}/prefix/bin/ampersand")
  step("${WORK}/prefix/bin/ampersand" --version)
endif()

# Plug-ins are projects of their own, too; the installed program trains their models and tasks.
step("${CMAKE_COMMAND}" -S "${SOURCE}/../../examples/plug_in" -B "${WORK}/plug_in" -G Ninja
     -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} -DCMAKE_BUILD_TYPE=Release)
step("${CMAKE_COMMAND}" --build "${WORK}/plug_in")
step("${CMAKE_COMMAND}" -S "${SOURCE}/../../examples/own_task" -B "${WORK}/own_task" -G Ninja
     -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} -DCMAKE_BUILD_TYPE=Release)
step("${CMAKE_COMMAND}" --build "${WORK}/own_task" --target houses)
if(EXISTS "${WORK}/prefix/bin/ampersand")
  step("${WORK}/prefix/bin/ampersand" train --model "${WORK}/plug_in/libmy_models.so:smoothed" --precision bf16
       --train-samples 200 --test-samples 100 --batch-size 50 --epochs 1 --output "${WORK}/run")
  step("${WORK}/prefix/bin/ampersand" eval "${WORK}/run")
  file(WRITE "${WORK}/houses.csv" "area,rooms,age,district,price\n")
  foreach(area RANGE 40 200)
    file(APPEND "${WORK}/houses.csv" "${area},3,10,2,${area}\n")
  endforeach()
  step("${WORK}/prefix/bin/ampersand" train --task "${WORK}/own_task/libhouses.so" --data "${WORK}/houses.csv"
       --epochs 2 --output "${WORK}/houses")
endif()
