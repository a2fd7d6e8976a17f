import rich

print("the mountain is high", rich)
