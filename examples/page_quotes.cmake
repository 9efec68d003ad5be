# Fails unless the page PAGE quotes, line by line, what the program PROGRAM prints.
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ "${PAGE}" page)
string(FIND "${page}" "${printed}" place)
if(printed STREQUAL "" OR place EQUAL -1)
  message(FATAL_ERROR "${PAGE} does not quote what ${PROGRAM} prints:\n${printed}")
endif()
