import numpy

print("unused", numpy)
