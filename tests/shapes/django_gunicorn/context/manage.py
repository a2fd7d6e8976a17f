import django

print("manage", django)
